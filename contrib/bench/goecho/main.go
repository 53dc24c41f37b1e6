// SPDX-License-Identifier: BSD-2-Clause

// goecho gives each line back, as servers in Go are usually written: a goroutine for each
// connection, which waits in Read, with a reader and a writer of 4 KiB and a deadline. Each
// line is flushed.
package main

import (
	"bufio"
	"log"
	"net"
	"os"
	"time"
)

const (
	buffer = 4096
	idle   = time.Hour
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: goecho ADDRESS:PORT")
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Print(err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, buffer)
	out := bufio.NewWriterSize(conn, buffer)
	for {
		if conn.SetReadDeadline(time.Now().Add(idle)) != nil {
			return
		}
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		if _, err := out.Write(line); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
	}
}
