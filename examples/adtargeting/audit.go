package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/onlyfor/onlyfor/vault/audit"
)

// A recorder is the auditor of every vault in a process. It writes each event to a
// log and counts the decisions of each caller.
type recorder struct {
	log  audit.Auditor
	file *os.File

	counts sync.Map // *counter by caller; all goroutines would wait for one lock
}

// A counter counts decisions while they are made.
type counter struct {
	allowed, refused atomic.Int64
}

// decisions has the numbers of allowed and of refused events.
type decisions struct {
	Allowed, Refused int64
}

// newRecorder makes the log file. With refusalsOnly, allowed events are counted and
// not logged.
func newRecorder(file string, refusalsOnly bool) (*recorder, error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	level := slog.LevelInfo
	if refusalsOnly {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: level}))
	return &recorder{log: audit.Slog(log), file: f}, nil
}

// Audit implements [audit.Auditor]. An event that can't be logged is an error, so its
// action does not happen.
func (r *recorder) Audit(ctx context.Context, e audit.Event) error {
	if err := r.log.Audit(ctx, e); err != nil {
		return err
	}
	c, decided := r.counter(e.Caller), int64(max(1, e.Count)) // a batch is one event for many values
	switch e.Outcome {
	case audit.Allowed:
		c.allowed.Add(decided)
	case audit.Denied:
		c.refused.Add(decided)
	}
	return nil
}

func (r *recorder) counter(caller string) *counter {
	c, found := r.counts.Load(caller)
	if !found {
		c, _ = r.counts.LoadOrStore(caller, new(counter))
	}
	return c.(*counter)
}

func (r *recorder) of(caller string) decisions {
	c := r.counter(caller)
	return decisions{c.allowed.Load(), c.refused.Load()}
}

func (r *recorder) close() error { return r.file.Close() }
