package dbtest_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/internal/faraway"
	"github.com/onlyfor/onlyfor/pii/migrate"
)

// far returns the database at a distance of a round trip.
func (d database) far(b *testing.B, roundTrip time.Duration) (source string) {
	source = d.source(b)
	if roundTrip == 0 {
		return source
	}
	if d.dialect == migrate.MySQL {
		c, err := mysql.ParseDSN(source)
		require.NoError(b, err)
		c.Addr = delay(b, c.Addr, roundTrip)
		return c.FormatDSN()
	}
	u, err := url.Parse(source)
	require.NoError(b, err)
	u.Host = delay(b, u.Host, roundTrip)
	return u.String()
}

func delay(b *testing.B, server string, roundTrip time.Duration) (address string) {
	l, err := faraway.Listen(server, roundTrip)
	require.NoError(b, err)
	b.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
