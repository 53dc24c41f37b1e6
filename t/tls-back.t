#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Tests once more, of relays and others, with TLS towards the backends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Matrix;

Weir::Test::skip_all('tls-both goes both ways') if Weir::Build::sanitized();

# Those of pools have a file of their own, so that both run at the same time.
Weir::Matrix::run('back', qr/^(?!.*pool)/);
