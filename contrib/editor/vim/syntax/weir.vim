" SPDX-License-Identifier: BSD-2-Clause
" weir.vim: highlights weir.conf(5). Copy contrib/editor/vim/* to ~/.vim.
"
" A directive that there is not stays plain, a broken section head is shown as an error.

if exists("b:current_syntax")
  finish
endif
let s:cpo_save = &cpo
set cpo&vim

syntax case match

syntax match   weirComment     "^\s*[;#].*$" contains=@Spell
syntax match   weirComment     "\s;.*$" contains=@Spell contained containedin=weirValue
syntax match   weirNoComment   "\s\@<=#.*$" contained containedin=weirValue

syntax match   weirSection     "^\s*\[[^]]*\]\s*$" contains=weirKind,weirName
syntax match   weirSectionBad  "^\s*\[[^]]*$"
syntax match   weirSectionBad  "^\s*\[[^]]*\]\s*\S.*$"
syntax match   weirKind        "\[\@<=\s*\%(weir\|server\|upstream\|tls\|defaults\)\>" contained
syntax match   weirName        "\%(\[\s*\%(server\|upstream\|tls\|defaults\)\s\+\)\@<=[^][:space:]][^]]*" contained

syntax match   weirLine        "^\s*\h\w*\s*=" nextgroup=weirValue contains=weirDirective,weirEquals
syntax match   weirEquals      "=" contained
syntax match   weirValue       ".*$" contained
      \ contains=weirComment,weirOption,weirSwitch,weirLevel,weirAddress,weirNumber,weirString

" [weir]
syntax keyword weirDirective contained workers worker_connections worker_rlimit_nofile
syntax keyword weirDirective contained worker_handshakes worker_preread tls_ticket_key
syntax keyword weirDirective contained worker_cpu_affinity worker_shutdown_timeout worker_watchdog user pid control
syntax keyword weirDirective contained error_log load_module include daemon
" [server]
syntax keyword weirDirective contained listen protocol upstream read_buffer write_buffer
syntax keyword weirDirective contained idle_timeout read_timeout write_timeout half_close_timeout
syntax keyword weirDirective contained tls handshake_timeout
syntax keyword weirDirective contained max_lifetime max_connections pipeline_per_client
" [tls]
syntax keyword weirDirective contained certificate protocols ciphers ciphersuites groups alpn
syntax keyword weirDirective contained client_ca client_verify verify verify_depth ca crl server_name
syntax keyword weirDirective contained session_tickets ticket_lifetime ktls
" [upstream]
syntax keyword weirDirective contained server balance health_check connect_timeout retries source
syntax keyword weirDirective contained pool pool_size pool_min_idle pool_idle_timeout pool_idle_check pool_lifetime
syntax keyword weirDirective contained pool_queue pool_wait pipeline_spread pipeline_depth
syntax keyword weirDirective contained reply_timeout reply_max
" line_proxy
syntax keyword weirDirective contained line_max line_failure
" both
syntax keyword weirDirective contained tcp_nodelay tcp_keepalive tcp_user_timeout tcp_congestion
syntax keyword weirDirective contained rcvbuf sndbuf

syntax match   weirOption      "\<\%(backlog\|reuseport\|fastopen\|device\|mode\|owner\)=\@=" contained
syntax match   weirOption      "\<\%(weight\|max_conns\|max_fails\|fail_timeout\)=\@=" contained
syntax match   weirOption      "\<\%(interval\|timeout\|rise\|fall\|send\|expect\|port\)=\@=" contained
syntax match   weirOption      "\s\@<=\%(deferred\|v6only\|transparent\|backup\|down\)\ze\%(\s\|$\)" contained
syntax match   weirSwitch      "\%(\s\|=\)\@<=\%(on\|off\|auto\)\ze\%(\s\|$\)" contained
syntax match   weirSwitch      "\%(=\s*\)\@<=\%(echo\|line_proxy\|stream_proxy\|round_robin\|stderr\)\ze\%(\s\|$\)" contained
syntax match   weirSwitch      "\%(\<pool\s*=\s*\)\@<=\%(pipeline\|request\|session\)\ze\%(\s\|$\)" contained
syntax match   weirLevel       "\s\@<=\%(debug\|info\|notice\|warn\|error\|alert\)\ze\%(\s\|$\)" contained
syntax match   weirAddress     "\<unix:\S\+" contained
syntax match   weirAddress     "\%(\*\|\<\d\+\.\d\+\.\d\+\.\d\+\|\[[0-9a-fA-F:.]\+\]\):\d\+\>" contained
syntax match   weirNumber      "\%(\s\|=\|:\)\@<=\d\+\%(ms\|[smhdkg]\)\?\ze\%(\s\|:\|$\)" contained
syntax region  weirString      start=+"+ skip=+\\.+ end=+"+ oneline contained

highlight default link weirComment    Comment
highlight default link weirNoComment  Error
highlight default link weirSection    Delimiter
highlight default link weirSectionBad Error
highlight default link weirKind       Statement
highlight default link weirName       Identifier
highlight default link weirDirective  Keyword
highlight default link weirEquals     Operator
highlight default link weirOption     Type
highlight default link weirSwitch     Boolean
highlight default link weirLevel      Constant
highlight default link weirAddress    Special
highlight default link weirNumber     Number
highlight default link weirString     String

let b:current_syntax = "weir"
let &cpo = s:cpo_save
unlet s:cpo_save
