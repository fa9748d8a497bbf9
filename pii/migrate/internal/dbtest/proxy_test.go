package dbtest_test

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii/migrate"
)

// far returns the database behind a proxy that holds each piece of data back for half of
// the round trip, in both directions. Pieces that follow each other wait at the same time:
// the proxy delays and does not narrow.
func (d database) far(b *testing.B, roundTrip time.Duration) (source string) {
	source = d.source(b)
	if roundTrip == 0 {
		return source
	}
	if d.dialect == migrate.MySQL {
		c, err := mysql.ParseDSN(source)
		require.NoError(b, err)
		c.Addr = delay(b, c.Addr, roundTrip/2)
		return c.FormatDSN()
	}
	u, err := url.Parse(source)
	require.NoError(b, err)
	u.Host = delay(b, u.Host, roundTrip/2)
	return u.String()
}

// delay listens at the address that it returns, and connects each client to a server.
func delay(b *testing.B, server string, by time.Duration) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
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
			go pass(client, conn, by)
			go pass(conn, client, by)
		}
	}()
	return l.Addr().String()
}

// A piece is data that a proxy hands on when it is due.
type piece struct {
	data []byte
	due  time.Time
}

func pass(from, to net.Conn, by time.Duration) {
	pieces := make(chan piece, 1024)
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				from.Close()
				for range pieces {
				}
				return
			}
		}
	}()
	defer close(pieces)
	for {
		buffer := make([]byte, 64<<10)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		pieces <- piece{buffer[:n], time.Now().Add(by)}
	}
}
