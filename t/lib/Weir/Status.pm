# SPDX-License-Identifier: BSD-2-Clause
# What `weir status --json` said.
#
#	$s->server(NAME), $s->upstream(NAME), $s->peer(UPSTREAM, ADDRESS),
#	$s->listener(ADDRESS)	fields => values; dies when there is none
#	$s->has_server(NAME)
#	$s->sessions		of all servers
#	$s->generation		the newest number
#	$s->workers		({ slot, generation, pid, state, sessions }, ...)
#	$s->keepers		({ generation, pid, state }, ...)
#	$s->peers(UPSTREAM)	all of it: { ADDRESS => fields }
#	$s->sum(KIND, FIELD, ...)	of these fields of all entries of that kind
#	$s->failures(UPSTREAM)	{ REASON => number } of requests that failed, without zeros
#	$s->open		what is open: name => number, nothing where it is zero; the
#				idle connections of a pool do not count
package Weir::Status;
use v5.36;
use Weir::JSON;

my %gauges = (server => ['sessions'], peer => ['connections', 'in_flight'],
    upstream => ['waiting']);

sub new($class, $text)
{
	return bless { json => Weir::JSON::decode($text) }, $class;
}

sub _entry($self, $kind, $name)
{
	return $self->{json}{$kind}{$name} // die "no $kind $name in the status\n";
}

sub server($self, $name) { return $self->_entry('server', $name) }
sub listener($self, $name) { return $self->_entry('listener', $name) }
sub upstream($self, $name) { return $self->_entry('upstream', $name) }
sub peer($self, $upstream, $address) { return $self->_entry('peer', "$upstream/$address") }
sub log($self, $name) { return $self->_entry('log', $name) }
sub has_server($self, $name) { return exists $self->{json}{server}{$name} }
sub generation($self) { return $self->{json}{generation} }
sub workers($self) { return @{$self->{json}{workers}} }
sub keepers($self) { return @{$self->{json}{keepers}} }

# All of an upstream: address => fields.
sub peers($self, $upstream)
{
	my $all = $self->{json}{peer} // {};
	return { map { m{^\Q$upstream\E/(.*)} ? ($1 => $all->{$_}) : () } keys %$all };
}

sub sessions($self)
{
	my $sum = 0;
	$sum += $_->{sessions} for values %{$self->{json}{server} // {}};
	return $sum;
}

sub sum($self, $kind, @fields)
{
	my $sum = 0;
	for my $entry (values %{$self->{json}{$kind} // {}}) {
		$sum += $entry->{$_} for @fields;
	}
	return $sum;
}

sub failures($self, $upstream)
{
	my $entry = $self->upstream($upstream);
	return { map { /^failed_(.*)/ && $entry->{$_} ? ($1 => $entry->{$_}) : () } keys %$entry };
}

sub open($self)
{
	my %open;
	for my $kind (sort keys %gauges) {
		my $entries = $self->{json}{$kind} // {};
		for my $name (keys %$entries) {
			for my $gauge (@{$gauges{$kind}}) {
				my $value = $entries->{$name}{$gauge} // 0;
				$value -= $entries->{$name}{links} // 0 if $gauge eq 'connections';
				$open{"$kind $name: $gauge"} = $value if $value;
			}
		}
	}
	return %open;
}

1;
