package otel_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/auditlog"
	"github.com/onlyfor/onlyfor/vault/otel"
)

// A switchedKeep keeps heads unless it is told to fail.
type switchedKeep struct {
	mu  sync.Mutex
	err error
}

func (k *switchedKeep) set(err error) { k.mu.Lock(); k.err = err; k.mu.Unlock() }

func (k *switchedKeep) keep(context.Context, auditlog.Head) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

func openLog(t *testing.T, keep func(context.Context, auditlog.Head) error) *auditlog.Log {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a log needs a Unix file system")
	}
	secret, _, err := note.GenerateKey(rand.Reader, "example.com/audit/test")
	require.NoError(t, err)
	signer, err := note.NewSigner(secret)
	require.NoError(t, err)
	log, err := auditlog.Open(t.Context(), filepath.Join(t.TempDir(), "audit"), signer, &auditlog.Options{Keep: keep, Interval: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	return log
}

// Entries count as witnessed once a head that covers them was kept outside.
func TestUnwitnessed(t *testing.T) {
	outside := &switchedKeep{}
	keeper := otel.NewKeeper(outside.keep)
	log := openLog(t, keeper.Keep)
	v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), &vault.Options{Audit: log}, security)
	r, opts := reader(t)
	opts.Log, opts.Keeper = log, keeper
	_, err := otel.Register(v.Vault(), opts)
	require.NoError(t, err)
	s := scope(t, v, security)

	p := points(t, r)
	require.Positive(t, p["onlyfor.audit.pending{}"])
	require.Positive(t, p["onlyfor.audit.unwitnessed{}"])
	require.NoError(t, log.Publish(t.Context()))
	p = points(t, r)
	require.Zero(t, p["onlyfor.audit.pending{}"])
	require.Zero(t, p["onlyfor.audit.unwitnessed{}"])
	kept := p["onlyfor.audit.keeps{onlyfor.result=ok}"]
	require.Positive(t, kept)

	outside.set(errors.New("alice@example.com"))
	for range 3 {
		_, err = s.Index(t.Context(), kind, "text")
		require.NoError(t, err)
	}
	require.Error(t, log.Publish(t.Context()))
	p = points(t, r)
	require.Equal(t, 3.0, p["onlyfor.audit.pending{}"])
	require.Positive(t, p["onlyfor.audit.unwitnessed{}"])
	require.Positive(t, p["onlyfor.audit.keeps{onlyfor.result=failed}"])
	require.Equal(t, kept, p["onlyfor.audit.keeps{onlyfor.result=ok}"])

	outside.set(nil)
	require.NoError(t, log.Publish(t.Context()))
	require.Zero(t, points(t, r)["onlyfor.audit.unwitnessed{}"])
}

// A log whose heads nobody keeps is never witnessed.
func TestNobodyKeeps(t *testing.T) {
	for _, keeper := range []*otel.Keeper{nil, otel.NewKeeper(nil)} {
		log := openLog(t, keeper.Keep)
		v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), &vault.Options{Audit: log}, security)
		r, opts := reader(t)
		opts.Log, opts.Keeper = log, keeper
		_, err := otel.Register(v.Vault(), opts)
		require.NoError(t, err)
		require.NoError(t, log.Publish(t.Context()))
		require.Equal(t, float64(log.Head().Size), points(t, r)["onlyfor.audit.pending{}"])
		require.Positive(t, points(t, r)["onlyfor.audit.unwitnessed{}"])
	}
}

// An older head that is kept late takes nothing back, and a keep that panics keeps nothing.
func TestKeeperOrder(t *testing.T) {
	var fault func()
	keeper := otel.NewKeeper(func(context.Context, auditlog.Head) error {
		if fault != nil {
			fault()
		}
		return nil
	})
	log := openLog(t, nil)
	v := open(t, vault.Memory(), vault.SharedKEK(newAEAD(t)), &vault.Options{Audit: log}, security)
	r, opts := reader(t)
	opts.Log, opts.Keeper = log, keeper
	_, err := otel.Register(v.Vault(), opts)
	require.NoError(t, err)
	fault = func() { panic("alice@example.com") }
	require.Panics(t, func() { _ = keeper.Keep(t.Context(), log.Head()) })
	require.Positive(t, points(t, r)["onlyfor.audit.pending{}"])
	fault = nil
	require.NoError(t, keeper.Keep(t.Context(), log.Head()))
	require.NoError(t, keeper.Keep(t.Context(), auditlog.Head{Size: 1}))
	p := points(t, r)
	require.Zero(t, p["onlyfor.audit.pending{}"])
	require.Equal(t, 1.0, p["onlyfor.audit.keeps{onlyfor.result=failed}"])
	require.Equal(t, 2.0, p["onlyfor.audit.keeps{onlyfor.result=ok}"])
}
