" SPDX-License-Identifier: BSD-2-Clause
" weir.vim: which files are weir's configuration.
autocmd BufNewFile,BufRead weir.conf,*/weir/*.conf,weir.conf.default setfiletype weir
