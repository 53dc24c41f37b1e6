# SPDX-License-Identifier: BSD-2-Clause
# The process behind a Weir::Backend: its listener, its connections, its orders.
package Weir::Backend::Server;
use v5.36;
use Errno qw(EAGAIN);
use IO::Handle;
use POSIX ();
use Socket qw(:all);
use Weir::Address;
use Weir::Backend::Conn;
use Weir::JSON;
use Weir::Loop;

sub new($class, $control, $address, $behaviour, %option)
{
	my $self = bless { control => $control, address => $address, behaviour => $behaviour,
	    option => \%option, loop => Weir::Loop->new, conns => {}, ended => [],
	    orders => '', accepted => 0, peak => 0, in => 0, out => 0, fillers => [],
	    lines => 0, keeps => $option{keep} }, $class;
	$self->{script} = $self->_script($behaviour);
	return $self;
}

# What a behaviour does when a connection opens, brings bytes, ends.
sub _script($self, $behaviour)
{
	my $o = $self->{option};
	my $name = $o->{name} // $behaviour;
	my $echo = sub ($c, $bytes) { $c->send($bytes) };
	my $finish = sub ($c, $) { $c->finish };
	my $none = sub (@) { };
	my %scripts = (
		echo     => { data => $echo, eof => $finish },
		refuse   => { data => $echo, eof => $finish },
		full     => { data => $echo, eof => $finish },
		named    => { open => sub ($c, $) { $c->send("$name\n") },
		              data => $echo, eof => $finish },
		greeting => { open => sub ($c, $) { $c->send($o->{text} // "220 ready\r\n") },
		              data => $echo, eof => $finish },
		line     => { data => sub ($c, $bytes) { $self->_lines($c, $bytes) },
		              eof => $finish },
		sink     => { data => $none, eof => $finish },
		source   => { open => sub ($c, $) { $c->source($o->{seed} // 1, $o->{bytes});
		                                    $c->finish },
		              data => $none, eof => $none },
		close    => { open => sub ($c, $) { $c->close } },
		reset    => { open => sub ($c, $) { $c->reset } },
		silent   => { open => sub ($c, $) { $c->hold }, data => $none, eof => $finish },
		script   => $o,
	);
	my $script = $scripts{$behaviour} // die "no behaviour $behaviour\n";
	return { open => $none, data => $none, eof => $finish,
	    map { $_ => $script->{$_} } grep { $script->{$_} } qw(open data eof) };
}

sub _lines($self, $conn, $bytes)
{
	my $make = $self->{option}{reply} // sub ($line, $) { "$line\n" };
	my @lines = split(/\n/, $conn->{my}{rest} . $bytes, -1);
	$conn->{my}{rest} = pop(@lines);
	my $replies = '';
	for my $line (@lines) {
		$self->{lines}++;
		$conn->{lines}++;
		my $reply = $make->($line, $conn) // next;
		if ($self->{keeps}) {
			push @{$conn->{kept}}, $reply;
		} else {
			$replies .= $reply;
		}
	}
	$conn->send($replies) if $replies ne '';
}

sub _release($self, $conn, $count)
{
	my @replies = splice(@{$conn->{kept}}, 0, $count // scalar(@{$conn->{kept}}));
	$conn->send(join('', @replies)) if @replies;
}

sub run($self)
{
	$self->{control}->blocking(0);
	$self->{loop}->reads($self->{control}, sub { $self->_orders });
	$self->_up if $self->{behaviour} ne 'refuse';
	$self->_report;
	$self->{loop}->turn while !$self->{done};
	unlink($1) if $self->{address} =~ /^unix:(.+)/;
}

sub _up($self)
{
	my $address = $self->{address};
	my ($family, $name) = resolve($address);
	unlink($1) if $address =~ /^unix:(.+)/;
	my $full = $self->{behaviour} eq 'full';
	socket(my $fh, $family, SOCK_STREAM, 0) or die "socket: $!\n";
	setsockopt($fh, SOL_SOCKET, SO_REUSEADDR, 1);
	for ([rcvbuf => SO_RCVBUF], [sndbuf => SO_SNDBUF]) {
		my ($key, $option) = @$_;
		setsockopt($fh, SOL_SOCKET, $option, $self->{option}{$key})
		    if $self->{option}{$key};
	}
	bind($fh, $name) or die "bind $address: $!\n";
	listen($fh, $full ? 0 : 4096) or die "listen $address: $!\n";
	chmod(0666, $1) if $address =~ /^unix:(.+)/;	# weir's workers are another user
	$fh->blocking(0);
	$self->{listener} = $fh;
	if ($full) {
		$self->_fill($family, $name);
	} else {
		$self->{loop}->reads($fh, sub { $self->_accept });
	}
}

# A backlog of 0 holds one connection; what comes after it gets no answer.
sub _fill($self, $family, $name)
{
	for (1 .. 4) {
		socket(my $fh, $family, SOCK_STREAM, 0) or die "socket: $!\n";
		$fh->blocking(0);
		connect($fh, $name);
		push @{$self->{fillers}}, $fh;
	}
}

sub _down($self)
{
	my $fh = delete $self->{listener} // return;
	$self->{loop}->forget($fh);
	close($fh);
	@{$self->{fillers}} = ();
}

sub _accept($self)
{
	while (accept(my $fh, $self->{listener})) {
		my $conn = Weir::Backend::Conn->new($self, $fh, ++$self->{accepted});
		$self->{conns}{$conn->{n}} = $conn;
		$self->_count;
		$self->{script}{open}->($conn, '');
	}
}

# One that was closed before another was opened may still wait to be read. That is
# not looked at when there are many: it takes a call for each.
sub _count($self)
{
	my $open = keys %{$self->{conns}};
	return if $open <= $self->{peak};
	$open = grep { !$_->is_over } values %{$self->{conns}} if $open <= 100;
	$self->{peak} = $open if $open > $self->{peak};
}

# Called by a connection whose socket is closed.
sub ended($self, $conn)
{
	delete $self->{conns}{$conn->{n}};
	push @{$self->{ended}}, $conn->told;
	shift @{$self->{ended}} if @{$self->{ended}} > 100;
}

sub _orders($self)
{
	my $n = sysread($self->{control}, $self->{orders}, 65536, length($self->{orders}));
	return if !defined($n) && $! == EAGAIN;
	$self->{done} = 1, return if !$n;
	while ($self->{orders} =~ s/^(.*?)\n//) {
		my $order = Weir::JSON::decode($1);
		$self->_obey($order->{do}, $order);
		$self->_report;
	}
}

sub _obey($self, $do, $with)
{
	my @conns = values %{$self->{conns}};
	if ($do eq 'down') {
		$self->_down;
	} elsif ($do eq 'up') {
		$self->{behaviour} = 'echo' if $self->{behaviour} eq 'full';
		$self->_down;
		$self->_up;
	} elsif ($do eq 'drop_all') {
		$_->close for @conns;
	} elsif ($do eq 'reset_all') {
		$_->reset for @conns;
	} elsif ($do eq 'finish_all') {
		$_->finish for @conns;
	} elsif ($do eq 'hold' || $do eq 'resume') {
		$_->$do for @conns;
	} elsif ($do eq 'send') {
		$_->send(pack('H*', $with->{bytes})) for @conns;
	} elsif ($do eq 'keep') {
		$self->{keeps} = 1;
	} elsif ($do eq 'release') {
		$self->{keeps} = 0 if !$with->{count};
		$self->_release($_, $with->{count}) for @conns;
	} elsif ($do ne 'report') {
		die "no order $do\n";
	}
}

sub _report($self)
{
	my @open = map { $_->told } sort { $a->{n} <=> $b->{n} } values %{$self->{conns}};
	@open = @open[-100 .. -1] if @open > 100;
	my $kept = 0;
	$kept += @{$_->{kept}} for values %{$self->{conns}};
	my $line = Weir::JSON::encode({ accepted => $self->{accepted}, peak => $self->{peak},
	    lines => $self->{lines}, kept => $kept,
	    open => scalar(keys %{$self->{conns}}), in => $self->{in}, out => $self->{out},
	    conns => [sort { $a->{n} <=> $b->{n} } @{$self->{ended}}, @open] }) . "\n";
	$self->{control}->blocking(1);
	syswrite($self->{control}, $line);
	$self->{control}->blocking(0);
}

1;
