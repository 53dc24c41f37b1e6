# SPDX-License-Identifier: BSD-2-Clause
# The text of a configuration.
#
#	conf_text(
#		weir => [workers => 1, ...],
#		servers => { NAME => [$listen, $protocol, $upstream or undef, KEY => VALUE, ...] },
#		upstreams => { NAME => [$address, KEY => VALUE, ...] })
#
# Every [weir] has error_log = logs/error.log info.
package Weir::Conf;
use v5.36;
use Exporter 'import';

our @EXPORT = qw(conf_text);

sub conf_text(%part)
{
	my $text = _section('weir', error_log => 'logs/error.log info', @{$part{weir} // []});
	for my $name (sort keys %{$part{servers}}) {
		my ($listen, $protocol, $upstream, @more) = @{$part{servers}{$name}};
		$text .= _section("server $name", listen => $listen, protocol => $protocol,
		    defined $upstream ? (upstream => $upstream) : (), @more);
	}
	for my $name (sort keys %{$part{upstreams}}) {
		my ($address, @more) = @{$part{upstreams}{$name}};
		$text .= _section("upstream $name", server => $address, @more);
	}
	return $text;
}

sub _section($head, @pairs)
{
	my $text = "[$head]\n";
	while (my ($key, $value) = splice(@pairs, 0, 2)) {
		$text .= "$key = $value\n";
	}
	return "$text\n";
}

1;
