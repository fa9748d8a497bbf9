package otel

import (
	"context"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/vault/auditlog"
)

// A Keeper notes which heads of an audit log were kept outside the process, such as by a
// witness:
//
//	keeper := otel.NewKeeper(sendToAuditors)
//	log, err := auditlog.Open(ctx, dir, signer, &auditlog.Options{Keep: keeper.Keep})
//	v, err := vault.Open(ctx, store, kek, &vault.Options{Audit: log})
//	unregister, err := otel.Register(v, &otel.Options{Log: log, Keeper: keeper})
//
// Its methods may be called from many goroutines at once.
type Keeper struct {
	keep func(context.Context, auditlog.Head) error

	mu           sync.Mutex
	size         int64     // of the newest head that was kept
	at           time.Time // when the log handed it over, or when the Keeper was made
	kept, failed int64
}

// NewKeeper returns a Keeper that keeps heads with the given function. Nil keeps none.
func NewKeeper(keep func(context.Context, auditlog.Head) error) *Keeper {
	return &Keeper{keep: keep, at: time.Now()}
}

// Keep calls the function of [NewKeeper], and notes whether it kept the head. It is for
// auditlog.Options.Keep. The error is the error of the function. A head that the function
// did not return from is not kept.
func (k *Keeper) Keep(ctx context.Context, head auditlog.Head) error {
	if k == nil || k.keep == nil {
		return nil
	}
	at, done := time.Now(), false
	defer func() { k.note(head, at, done) }()
	err := k.keep(ctx, head)
	done = err == nil
	return err
}

func (k *Keeper) note(head auditlog.Head, at time.Time, kept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !kept {
		k.failed++
		return
	}
	k.kept++
	if head.Size >= k.size {
		k.size, k.at = head.Size, at
	}
}

// A witnessed is the state of the heads of a log.
type witnessed struct {
	pending      int64         // entries that no kept head covers
	age          time.Duration // the oldest of these entries is at most this old
	kept, failed int64
}

// state compares the newest head of the log with the newest one that was kept. since is
// when a log without a Keeper was first seen.
func (k *Keeper) state(size int64, since time.Time) (w witnessed) {
	var covered int64
	if k != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		covered, since, w.kept, w.failed = k.size, k.at, k.kept, k.failed
	}
	if w.pending = max(0, size-covered); w.pending > 0 {
		w.age = max(0, time.Since(since))
	}
	return w
}
