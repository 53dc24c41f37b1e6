#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# Tests of relays and pools once more, with TLS towards the clients and the backends.
use v5.36;
use FindBin;
use lib "$FindBin::Bin/lib";
use Weir::Matrix;

Weir::Build::ignore_leaks();

Weir::Matrix::run('both');
