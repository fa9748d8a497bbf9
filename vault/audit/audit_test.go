package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

func TestWithCallerIsBounded(t *testing.T) {
	var caller string
	v := vaulttest.Generated(t, &vault.Options{Audit: auditorFunc(func(e audit.Event) error { caller = e.Caller; return nil })}, vaulttest.Security)
	long := string(bytes.Repeat([]byte("é"), 1000))
	_, err := v.Scope(audit.WithCaller(t.Context(), "x"+long), vaulttest.Security)
	require.NoError(t, err)
	require.LessOrEqual(t, len(caller), 256)
	require.True(t, len(caller) > 250 && caller[len(caller)-1] == long[1], "cut between characters")
}

// Operations within operations replace the name, and a name is bounded as the caller's is.
func TestWithOperation(t *testing.T) {
	require.Empty(t, audit.Operation(t.Context()))
	ctx := audit.WithOperation(t.Context(), "nightly")
	require.Equal(t, "nightly", audit.Operation(ctx))
	ctx = audit.WithOperation(audit.WithCaller(ctx, "cron"), strings.Repeat("é", 100)+"\xff")
	require.Equal(t, strings.Repeat("é", 32), audit.Operation(ctx))
	require.Equal(t, "a", audit.Operation(audit.WithOperation(ctx, "\xffa\xff")))
	require.Equal(t, "cron", audit.Caller(ctx))
}

type auditorFunc func(audit.Event) error

func (f auditorFunc) Audit(_ context.Context, e audit.Event) error { return f(e) }

// brokenHandler is a slog handler whose disk is full.
type brokenHandler struct{ slog.Handler }

func (brokenHandler) Handle(context.Context, slog.Record) error { return errors.New("disk full") }

func TestSlog(t *testing.T) {
	var buf bytes.Buffer
	h := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	v := vaulttest.Generated(t, &vault.Options{Audit: audit.Slog(slog.New(h))}, vaulttest.Security, vaulttest.Advertising)
	sec, ads := vaulttest.Scope(t, v, vaulttest.Security), vaulttest.Scope(t, v, vaulttest.Advertising)
	buf.Reset()
	ctx := audit.WithCaller(audit.WithOperation(t.Context(), "sign-up"), "sign-in\nlevel=INFO")
	value, err := vault.Seal(ctx, vaulttest.Note, "text", sec)
	require.NoError(t, err)
	_, err = ads.Reveal(ctx, vaulttest.Note, value)
	require.Error(t, err)
	key, _ := value.KeyID(vaulttest.Security)
	provenance, _ := value.Provenance(vaulttest.Security)
	require.Equal(t, fmt.Sprintf(`level=INFO msg=onlyfor action=seal outcome=allowed purpose=security key=%08x generation=1 collected=security kind=note value=%s collected-at=%s operation=sign-up caller="sign-in\nlevel=INFO"
level=WARN msg=onlyfor action=reveal outcome=denied purpose=advertising generation=1 collected=security kind=note value=%[2]s reason=purpose operation=sign-up caller="sign-in\nlevel=INFO" error="collected for security, not advertising"
`, key, value.ID(), provenance.Collected.Format("2006-01-02T15:04:05.000Z")), buf.String())

	w := vaulttest.Open(t, vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t)), &vault.Options{Audit: audit.Slog(slog.New(brokenHandler{h}))})
	require.ErrorIs(t, w.Generate(t.Context(), vaulttest.Security), vault.ErrUnavailable)
}

// An event is written with each field that is set, and without the others.
func TestSlogWritesTheFieldsThatAreSet(t *testing.T) {
	var buf bytes.Buffer
	level := slog.LevelInfo
	logger := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: &levelOf{&level}}))
	written := func(a audit.Auditor, e audit.Event) string {
		buf.Reset()
		require.NoError(t, a.Audit(t.Context(), e))
		return buf.String()
	}
	security, ads := purpose.MustParse("security"), purpose.MustParse("advertising")
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	least := audit.Event{Time: at, Action: audit.Open, Outcome: audit.Allowed, Purpose: security}
	most := audit.Event{
		Time: at, Action: audit.Extend, Outcome: audit.Failed, Purpose: security, To: ads, From: security, Role: "seal", KeyID: 0xabcd, Generation: 7, Digest: "0f0f",
		Subject: "0123abcd", Collected: purpose.NewSet(security, ads), Kind: "note", Value: "00ff", NewValue: "01ff",
		Provenance: purpose.Provenance{
			Collected: at.AddDate(-1, 0, 0), Stated: true, Legal: purpose.Consent, Notice: "n-1", Consent: "c-1", Expires: at.AddDate(1, 0, 0), From: ads,
		},
		Reason: "conflict", Note: "reveal: deceptive", Count: 2, Unwraps: 3, Root: "aabb", Recipient: "mail.example", Caller: "sign-in", Operation: "migrate.reseal", Err: vault.ErrConflict,
	}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[audit.Event]()) {
		require.False(t, reflect.ValueOf(most).Field(i).IsZero(), f.Name)
	}
	const head = "time=2026-05-04T03:02:01.000Z "
	const leastText = head + "level=INFO msg=onlyfor action=open outcome=allowed purpose=security\n"
	const mostText = head + "level=WARN msg=onlyfor action=extend outcome=failed purpose=security to=advertising from=security role=seal key=0000abcd generation=7 digest=0f0f " +
		"subject=0123abcd collected=advertising+security kind=note value=00ff new-value=01ff legal=consent notice=n-1 consent=c-1 " +
		"collected-at=2025-05-04T03:02:01.000Z stated=true expires=2027-05-04T03:02:01.000Z first-purpose=advertising " +
		"reason=conflict note=\"reveal: deceptive\" count=2 unwraps=3 root=aabb recipient=mail.example operation=migrate.reseal caller=sign-in error=\"changed by another process\"\n"
	a := audit.Slog(logger)
	require.Equal(t, leastText, written(a, least))
	require.Equal(t, mostText, written(a, most))

	defer slog.SetDefault(slog.Default())
	slog.SetDefault(logger)
	require.Equal(t, leastText, written(audit.Slog(nil), least), "the default logger")

	level = slog.LevelWarn
	require.Empty(t, written(a, least), "what the handler does not want")
	require.Equal(t, mostText, written(a, most))
}

// The name of a caller may come from a request. With any content it is one field of
// one record, and never a line of the log of its own.
func FuzzCaller(f *testing.F) {
	for _, seed := range []string{
		"", "api", "a\nlevel=ERROR msg=forged", "a\r\n", "\x00\xff", "\u2028", strings.Repeat("é", 200),
		"\"}\n{\"level\":\"ERROR\"", "\x1b[2J", " action=seal",
	} {
		f.Add(seed)
	}
	e := audit.Event{Action: audit.Reveal, Outcome: audit.Allowed, Purpose: purpose.MustParse("security")}
	f.Fuzz(func(t *testing.T, caller string) {
		ctx := audit.WithCaller(t.Context(), caller)
		kept := audit.Caller(ctx)
		e.Caller = kept
		require.LessOrEqual(t, len(kept), 256)
		require.True(t, utf8.ValidString(kept))
		if utf8.ValidString(caller) {
			require.True(t, strings.HasPrefix(caller, kept))
			require.GreaterOrEqual(t, len(kept), min(len(caller), 256-utf8.UTFMax+1))
		}
		var text, lines bytes.Buffer
		require.NoError(t, audit.Slog(slog.New(slog.NewTextHandler(&text, nil))).Audit(ctx, e))
		require.NoError(t, audit.Slog(slog.New(slog.NewJSONHandler(&lines, nil))).Audit(ctx, e))
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

type levelOf struct{ level *slog.Level }

func (l *levelOf) Level() slog.Level { return *l.level }
