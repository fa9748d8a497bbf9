package piitest

import (
	"context"
	"iter"

	"github.com/onlyfor/onlyfor/vault"
)

// Store returns s behind the outage.
func (o *Outage) Store(s vault.Store) vault.Store { return &outageStore{o, s} }

type outageStore struct {
	outage *Outage
	store  vault.Store
}

func (s *outageStore) Get(ctx context.Context, names ...string) ([]vault.Record, error) {
	fault, err := s.outage.meet(ctx, StoreGet, purposesOf(names...)...)
	if err != nil {
		return nil, err
	}
	records, err := s.store.Get(ctx, names...)
	if err != nil {
		return nil, err
	}
	switch fault {
	case Garbage:
		for i := range records {
			records[i].Data = altered(records[i].Data)
		}
	case Lose:
		return nil, lost(StoreGet)
	}
	return records, nil
}

func (s *outageStore) Put(ctx context.Context, r vault.Record) (int64, error) {
	fault, err := s.outage.meet(ctx, StorePut, purposesOf(r.Name)...)
	if err != nil {
		return 0, err
	}
	if fault == Garbage {
		return r.Revision + 1, nil
	}
	revision, err := s.store.Put(ctx, r)
	if err == nil && fault == Lose {
		return 0, lost(StorePut)
	}
	return revision, err
}

// List breaks off after the first name if its answer is lost.
func (s *outageStore) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		fault, err := s.outage.meet(ctx, StoreList, purposesOf(prefix)...)
		if err != nil {
			yield("", err)
			return
		}
		if fault == Garbage {
			yield("../no name", nil)
			return
		}
		for name, err := range s.store.List(ctx, prefix, after) {
			if !yield(name, err) {
				return
			}
			if err == nil && fault == Lose {
				break
			}
		}
		if fault == Lose {
			yield("", lost(StoreList))
		}
	}
}
