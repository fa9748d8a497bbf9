package mailtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
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
	for range 3 { // pools lose their buffers in two
		runtime.GC()
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	dump, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return bytes.Contains(mask(dump), masked)
}

const clobber = "clobberfree=1"

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// After a thousand sends to a server that echoes, with every mail and error still held, no
// object of the heap and no line of a log has the address.
func TestAThousandMails(t *testing.T) {
	if os.Getenv("GODEBUG") != clobber { // freed memory is overwritten: else it is in the slack of new objects
		cmd := exec.Command(os.Args[0], "-test.run=^TestAThousandMails$")
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

	var seen atomic.Int64
	s := newServer(t, func(s *server) {
		s.forget = true
		s.refuse = func(to string) error {
			if seen.Add(1)%3 == 0 {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: to}
			}
			return nil
		}
	})
	var random [30]byte
	rand.Read(random[:])
	var sealed pii.Email
	var text string
	var masked []byte
	done := make(chan bool)
	go func() { // its stack goes
		defer close(done)
		sealed, text = s.seal(t, hex.EncodeToString(random[:])+"@example.com")
		masked = mask(hex.AppendEncode(nil, random[:]))
	}()
	<-done
	var held []any
	done = make(chan bool)
	go func() {
		defer close(done)
		mailer := s.mailer(t)
		held = append(held, mailer)
		s.kit.Audit.Reset() // of sealing and of opening keys
		for i := range 1000 {
			subject := "code"
			if i%4 == 1 {
				subject = "spam"
			}
			mail := egress.Mail{From: "shop@shop.example", To: []pii.Email{sealed}, Message: fmt.Appendf(nil, "To: %s\nSubject: %s\n\n%d\n", text, subject, i)}
			err := mailer.Send(t.Context(), mail)
			slog.Debug("sent", "mail", fmt.Sprintf("%+v", mail), "err", fmt.Sprintf("%+v", err), "mailer", mailer)
			held = append(held, mail, err)
		}
	}()
	<-done
	s.session.Close()
	held = append(held, s.kit.Audit.Events())
	require.Equal(t, 1000, len(s.kit.Audit.Events()), "one event a mail")
	require.False(t, heapHas(t, masked))
	plain := hex.EncodeToString(random[:])
	require.NotContains(t, logged.String(), plain)
	require.NotContains(t, fmt.Sprintf("%+v", held), plain)
	require.Contains(t, logged.String(), "recipients, the first with 550 5.1.1")
	require.Contains(t, logged.String(), "message: 554 5.7.1")
	require.True(t, heapHas(t, masked), "the search finds plain")
	runtime.KeepAlive(plain)
	runtime.KeepAlive(held)
}
