#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Tests of pools once more, with TLS towards the backends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Matrix;

Weir::Test::skip_all('tls-both goes both ways') if Weir::Build::sanitized();

Weir::Matrix::run('back', qr/pool/);
