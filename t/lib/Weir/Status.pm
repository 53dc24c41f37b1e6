# SPDX-License-Identifier: BSD-2-Clause
# What `weir status --json` said.
package Weir::Status;
use v5.36;
use JSON::PP;

sub new($class, $text)
{
	return bless { json => decode_json($text) }, $class;
}

sub server($self, $name) { return $self->{json}{servers}{$name} }
sub open($self) { return map { $self->{json}{servers}{$_}{sessions} ? ($_ => $self->{json}{servers}{$_}{sessions}) : () } keys %{$self->{json}{servers}} }

1;
