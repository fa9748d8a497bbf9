package auditlog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// AppendBody appends an entry as the holder of a log's key can.
func AppendBody(t testing.TB, l *Log, body []byte) { require.NoError(t, l.append(t.Context(), body)) }
