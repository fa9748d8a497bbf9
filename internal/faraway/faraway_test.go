package faraway_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/internal/faraway"
)

// echo returns the address of a server that sends back its input.
func echo(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// Bytes arrive as they were sent, and no earlier than the distance allows.
func TestListen(t *testing.T) {
	l, err := faraway.Listen(echo(t), 4*time.Millisecond)
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	sent := make([]byte, 300_000)
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	start := time.Now()
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 4*time.Millisecond)
	require.Equal(t, sent, got)
	require.NoError(t, c.Close())
}

// BenchmarkRoundTrip prints the shortest and the median round trip.
func BenchmarkRoundTrip(b *testing.B) {
	for _, roundTrip := range []time.Duration{0, 500 * time.Microsecond, 2500 * time.Microsecond} {
		b.Run(roundTrip.String(), func(b *testing.B) {
			l, err := faraway.Listen(echo(b), roundTrip)
			require.NoError(b, err)
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(b, err)
			defer c.Close()
			var all []time.Duration
			one := make([]byte, 1)
			for b.Loop() {
				start := time.Now()
				_, err := c.Write(one)
				require.NoError(b, err)
				_, err = io.ReadFull(c, one)
				require.NoError(b, err)
				all = append(all, time.Since(start))
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[0].Microseconds())/1000, "ms-min")
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median")
		})
	}
}
