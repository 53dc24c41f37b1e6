# SPDX-License-Identifier: BSD-2-Clause
# A small event loop over select(2) bit vectors, for backends and many clients.
#
#	$loop->reads($fh, sub { ... });		undef: no longer
#	$loop->writes($fh, sub { ... });
#	$loop->forget($fh);			before close, always
#	$loop->turn($seconds);			waits at most so long, calls what is ready
#
# Perl's select takes vectors of any length, so descriptors above 1024 work.
package Weir::Loop;
use v5.36;

sub new($class)
{
	return bless { rvec => '', wvec => '', on_read => {}, on_write => {} }, $class;
}

sub reads($self, $fh, $call)
{
	_set($self, 'rvec', 'on_read', fileno($fh), $call);
}

sub writes($self, $fh, $call)
{
	_set($self, 'wvec', 'on_write', fileno($fh), $call);
}

sub forget($self, $fh)
{
	$self->reads($fh, undef);
	$self->writes($fh, undef);
}

sub _set($self, $vec, $table, $fd, $call)
{
	vec($self->{$vec}, $fd, 1) = $call ? 1 : 0;
	if ($call) {
		$self->{$table}{$fd} = $call;
	} else {
		delete $self->{$table}{$fd};
	}
}

sub turn($self, $seconds = undef)
{
	my $count = select(my $r = $self->{rvec}, my $w = $self->{wvec}, undef, $seconds);
	return 0 if $count <= 0;
	_call($self->{on_write}, $w);
	_call($self->{on_read}, $r);
	return $count;
}

# A callback may forget descriptors that come later: the table is asked each time.
sub _call($table, $vec)
{
	my $bits = unpack('b*', $vec);
	my $fd = -1;
	while (($fd = index($bits, '1', $fd + 1)) >= 0) {
		my $call = $table->{$fd};
		$call->() if $call;
	}
}

1;
