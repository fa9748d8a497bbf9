package otel

import (
	"context"
	"iter"
	"time"

	"github.com/onlyfor/onlyfor/vault"
)

// Store returns a store that makes the calls of the given one, each in a span
// (onlyfor.store.get, put, list, replace) and in the histogram onlyfor.store.duration. A span has
// the number of records of a get or replace, and no names: the name of a record holds a
// pseudonym. A nil store stays nil, and a [vault.BatchReplacer] stays one.
//
// A vault also reads the store in the background. These calls have spans without a parent.
func Store(store vault.Store, opts *Options) vault.Store {
	if store == nil {
		return nil
	}
	traced := &tracedStore{store, newCalls(opts, "onlyfor.store.", "Time of calls of the key store.")}
	if r, ok := store.(vault.BatchReplacer); ok {
		return &tracedReplacer{traced, r}
	}
	return traced
}

// A tracedReplacer is a tracedStore over a store that is a BatchReplacer.
type tracedReplacer struct {
	*tracedStore
	replacer vault.BatchReplacer
}

func (s *tracedReplacer) Replace(ctx context.Context, records ...vault.Record) ([]int64, error) {
	ctx, call := s.calls.start(ctx, "replace", recordsKey.Int(len(records)))
	result := broken // unless Replace returns
	defer func() { call.end(result) }()
	revisions, err := s.replacer.Replace(ctx, records...)
	result = resultOf(err)
	return revisions, err
}

type tracedStore struct {
	store vault.Store
	calls *calls
}

func (s *tracedStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	ctx, call := s.calls.start(ctx, "get", recordsKey.Int(len(names)))
	result := broken // unless Get returns
	defer func() { call.end(result) }()
	records, err := s.store.Get(ctx, names...)
	result = resultOf(err)
	return records, err
}

func (s *tracedStore) Put(ctx context.Context, r vault.Record) (int64, error) {
	ctx, call := s.calls.start(ctx, "put")
	result := broken
	defer func() { call.end(result) }()
	revision, err := s.store.Put(ctx, r)
	result = resultOf(err)
	return revision, err
}

// List is one call for each time that the sequence is read. The histogram does not have
// the time of the caller between two names.
func (s *tracedStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, call := s.calls.start(ctx, "list")
		result, over := ok, false
		defer func() {
			if !over { // the store panicked
				result = broken
			}
			call.end(result)
		}()
		for name, err := range s.store.List(ctx, prefix, after) {
			if err != nil {
				result = resultOf(err)
			}
			left := time.Now()
			over = true // unless the store is asked for another name
			more := yield(name, err)
			call.away += time.Since(left)
			if !more {
				return
			}
			over = false
		}
		over = true
	}
}
