# SPDX-License-Identifier: BSD-2-Clause
# What `weir status --json` said.
#
#	$s->server(NAME), $s->upstream(NAME), $s->peer(UPSTREAM, ADDRESS),
#	$s->listener(ADDRESS)	fields => values; dies when there is none
#	$s->has_server(NAME)
#	$s->sessions		of all servers
#	$s->generation		the newest number
#	$s->workers		[{ slot, generation, pid, state, sessions }, ...]
#	$s->open		what is open: name => number, nothing where it is zero
package Weir::Status;
use v5.36;
use JSON::PP;

my %gauges = (server => ['sessions'], peer => ['connections']);

sub new($class, $text)
{
	return bless { json => decode_json($text) }, $class;
}

sub _entry($self, $kind, $name)
{
	return $self->{json}{$kind}{$name} // die "no $kind $name in the status\n";
}

sub server($self, $name) { return $self->_entry('server', $name) }
sub listener($self, $name) { return $self->_entry('listener', $name) }
sub upstream($self, $name) { return $self->_entry('upstream', $name) }
sub peer($self, $upstream, $address) { return $self->_entry('peer', "$upstream/$address") }
sub has_server($self, $name) { return exists $self->{json}{server}{$name} }
sub generation($self) { return $self->{json}{generation} }
sub workers($self) { return @{$self->{json}{workers}} }

sub sessions($self)
{
	my $sum = 0;
	$sum += $_->{sessions} for values %{$self->{json}{server} // {}};
	return $sum;
}

sub open($self)
{
	my %open;
	for my $kind (sort keys %gauges) {
		my $entries = $self->{json}{$kind} // {};
		for my $name (keys %$entries) {
			for my $gauge (@{$gauges{$kind}}) {
				my $value = $entries->{$name}{$gauge};
				$open{"$kind $name: $gauge"} = $value if $value;
			}
		}
	}
	return %open;
}

1;
