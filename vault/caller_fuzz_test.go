package vault

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
)

// What says who is calling may come from a request. It is a field of one record
// whatever is in it, and never a line of the log of its own.
func FuzzCaller(f *testing.F) {
	for _, seed := range []string{
		"", "api", "a\nlevel=ERROR msg=forged", "a\r\n", "\x00\xff", "\u2028", strings.Repeat("é", 200),
		"\"}\n{\"level\":\"ERROR\"", "\x1b[2J", " action=seal",
	} {
		f.Add(seed)
	}
	e := Event{Action: ActionReveal, Purpose: purpose.MustParse("security")}
	f.Fuzz(func(t *testing.T, caller string) {
		ctx := WithCaller(t.Context(), caller)
		kept := callerOf(ctx)
		require.LessOrEqual(t, len(kept), maxCaller)
		require.True(t, utf8.ValidString(kept))
		if utf8.ValidString(caller) {
			require.True(t, strings.HasPrefix(caller, kept))
			require.GreaterOrEqual(t, len(kept), min(len(caller), maxCaller-utf8.UTFMax+1))
		}
		var text, lines bytes.Buffer
		require.NoError(t, audit(ctx, SlogAuditor(slog.New(slog.NewTextHandler(&text, nil))), e, nil))
		require.NoError(t, audit(ctx, SlogAuditor(slog.New(slog.NewJSONHandler(&lines, nil))), e, nil))
		for _, out := range []string{text.String(), lines.String()} {
			require.Equal(t, len(out)-1, strings.IndexByte(out, '\n'))
			require.NotContains(t, out, "\r")
			require.NotContains(t, out, "\x1b")
		}
		var record struct{ Level, Action, Caller string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &record))
		require.Equal(t, "INFO", record.Level)
		require.Equal(t, "reveal", record.Action)
		require.Equal(t, kept, record.Caller)
	})
}
