// Package faraway puts a server at a distance, for benchmarks.
package faraway

import (
	"net"
	"time"
)

// Listen returns a listener that connects each of its clients to the TCP server at the given
// address. A round trip takes that much longer: data waits for half of it in each direction.
// Pieces of data that follow each other wait at the same time, so that a connection is late
// and not narrow. A connection ends in both directions when either side closes it.
func Listen(server string, roundTrip time.Duration) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go pass(client, conn, roundTrip/2)
			go pass(conn, client, roundTrip/2)
		}
	}()
	return l, nil
}

// A piece is data that is handed on when it is due.
type piece struct {
	data []byte
	due  time.Time
}

func pass(from, to net.Conn, by time.Duration) {
	pieces := make(chan piece, 1024)
	go func() {
		defer to.Close()
		for p := range pieces {
			waitUntil(p.due)
			if _, err := to.Write(p.data); err != nil {
				from.Close()
				for range pieces { // until the reader has seen the end
				}
				return
			}
		}
	}()
	defer close(pieces)
	for {
		buffer := make([]byte, 64<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			pieces <- piece{buffer[:n], time.Now().Add(by)}
		}
		if err != nil {
			return
		}
	}
}
