package egress_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/pii"
	"github.com/onlyfor/onlyfor/pii/egress"
)

// mask hides bytes from a search of the memory, in their place. It is no secret.
func mask(b []byte) []byte {
	for i := range b {
		b[i] ^= 0xa5
	}
	return b
}

// heapHas reports whether an object of the heap holds the masked bytes.
func heapHas(t *testing.T, masked []byte) bool {
	t.Helper()
	for range 3 { // pools of net/http lose their buffers in two
		runtime.GC()
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	dump, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	mask(dump)
	return bytes.Contains(dump, masked)
}

const clobber = "clobberfree=1"

// After a thousand sends to a gateway that echoes, with every request, response and error
// still held, no object of the heap and no line of a log has the address.
func TestAThousandSends(t *testing.T) {
	if os.Getenv("GODEBUG") != clobber { // freed memory is overwritten: else it is in the slack of new objects
		cmd := exec.Command(os.Args[0], "-test.run=^TestAThousandSends$")
		cmd.Env = append(os.Environ(), "GODEBUG="+clobber)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	var logged lockedBuffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))

	g := newGateway(t, nil)
	var random [30]byte
	rand.Read(random[:])
	var sealed pii.Email
	var masked []byte
	done := make(chan bool)
	go func() { // its stack goes
		defer close(done)
		var err error
		sealed, err = pii.SealEmail(t.Context(), hex.EncodeToString(random[:])+"@example.com", g.kit.Scope(security))
		require.NoError(t, err)
		masked = mask(hex.AppendEncode(nil, random[:]))
	}()
	<-done
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Echo", r.Header.Get("X-Rcpt"))
		if bytes.Contains(body, []byte("n=7&")) {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	base := server.Client().Transport.(*http.Transport).Clone()
	tr, err := egress.NewTransport(base, egress.Rule{
		Host: strings.TrimPrefix(server.URL, "https://"), Method: "POST", Path: "/send", Reader: g.reader,
		Fields: []egress.Field{egress.Form[pii.Email]("to"), egress.Header[pii.Email]("X-Rcpt")},
	})
	require.NoError(t, err)

	var held []any
	done = make(chan bool)
	go func() {
		defer close(done)
		for i := range 1000 {
			req := must(http.NewRequest("POST", server.URL+"/send", strings.NewReader(fmt.Sprintf("n=%d&to=%s&x=1", i%50, text(t, sealed)))))
			req.Header.Set("Content-Type", formType)
			req.Header.Set("X-Rcpt", text(t, sealed))
			resp, err := tr.RoundTrip(req)
			held = append(held, req, resp, err)
			if err != nil {
				slog.Error("send", "err", err, "req", req)
				continue
			}
			switch i % 3 {
			case 0:
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			case 1:
				resp.Body.Read(make([]byte, 8))
				resp.Body.Close()
			default:
				io.Copy(&logged, resp.Body)
			}
			slog.Debug("sent", "resp", resp, "header", resp.Header)
		}
	}()
	<-done
	tr.CloseIdleConnections()
	server.Close()
	held = append(held, tr, g.kit.Audit.Events())
	require.False(t, heapHas(t, masked))
	plain := hex.EncodeToString(random[:])
	require.NotContains(t, logged.String(), plain)
	require.NotContains(t, fmt.Sprintf("%+v", held), plain)
	require.Contains(t, logged.String(), text(t, sealed))
	require.True(t, heapHas(t, masked), "the search finds plain")
	runtime.KeepAlive(plain)
	runtime.KeepAlive(held)
}
