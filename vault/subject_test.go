package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// subjectsOf opens a vault on the given store, and the scope of one purpose.
func subjectsOf(t *testing.T, store Store, kek KEK, opts *Options) (*Admin, *Scope) {
	t.Helper()
	p := purpose.MustParse("security")
	v, err := OpenAdmin(t.Context(), store, kek, opts)
	require.NoError(t, err)
	t.Cleanup(func() { v.Close() })
	require.NoError(t, v.Generate(t.Context(), p))
	s, err := v.Scope(t.Context(), p)
	require.NoError(t, err)
	return v, s
}

// Every payload but the two that there are is refused, though it was sealed under the
// right key.
func TestSubjectRecordPayloads(t *testing.T) {
	_, s := subjectsOf(t, Memory(), testKEK(t), nil)
	keys, p := s.opened.current.Load(), s.opened.id.purpose
	var pseudonym [IndexSize]byte
	sealed := func(state byte, n int) []byte {
		plain := append([]byte{state, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 3}, make([]byte, 64)...)[:n]
		return keys.seal.seal([]byte(subjectMagic), plain, format.AppendSubjectAAD(nil, p.String(), keys.vault, pseudonym))
	}
	r, err := decodeSubject(keys.seal, keys.vault, p, pseudonym, sealed(stateKey, stateSize+format.DEKSize))
	require.NoError(t, err)
	require.Equal(t, subjectRecord{id: 0x102, key: append([]byte{0, 0, 0, 0, 0, 0, 0, 7, 3}, make([]byte, 23)...), at: time.Unix(9, 0).UTC()}, r)
	r, err = decodeSubject(keys.seal, keys.vault, p, pseudonym, sealed(stateTombstone, recordSize))
	require.NoError(t, err)
	require.Equal(t, subjectRecord{id: 0x102, at: time.Unix(9, 0).UTC(), count: 7, digest: format.ErasureDigest{3}}, r)
	for _, state := range []byte{0, stateKey, stateTombstone, 3} {
		for _, n := range []int{0, 1, stateSize - 1, stateSize, stateSize + 1, stateSize + format.DEKSize - 1, stateSize + format.DEKSize, stateSize + format.DEKSize + 1} {
			if (state == stateKey || state == stateTombstone) && n == recordSize {
				continue
			}
			if n == 0 && state != 0 {
				continue
			}
			r, err := decodeSubject(keys.seal, keys.vault, p, pseudonym, sealed(state, n))
			require.ErrorIs(t, err, errSubjectRecord, "state %d of %d bytes", state, n)
			require.Zero(t, r)
		}
	}
	good := sealed(stateKey, stateSize+format.DEKSize)
	for _, n := range []int{0, 1, len(subjectMagic) - 1, len(subjectMagic), len(subjectMagic) + format.KeyIDSize - 1, len(subjectMagic) + format.KeyIDSize} {
		_, err := decodeSubject(keys.seal, keys.vault, p, pseudonym, good[:n])
		require.ErrorIs(t, err, errSubjectRecord, n)
	}
	_, err = decodeSubject(keys.seal, keys.vault, p, pseudonym, append([]byte("ofs2"), good[len(subjectMagic):]...))
	require.ErrorIs(t, err, errSubjectRecord)
}

// A clock that is set after the year 9999 does not keep anybody from being erased. Records
// and certificates have the last time that JSON can write, and no reader takes a later one.
func TestTimesOfSubjectRecords(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
	const day = 24 * 60 * 60
	for now, want := range map[int64]struct{ exact, rounded int64 }{
		day + 1: {day + 1, day}, format.MaxSeconds: {format.MaxSeconds, format.MaxSeconds + 1 - day},
		format.MaxSeconds + 1: {format.MaxSeconds, format.MaxSeconds + 1 - day}, 1 << 39: {format.MaxSeconds, format.MaxSeconds + 1 - day},
	} {
		require.Equal(t, at(want.exact), recordTime(at(now), true), now)
		require.Equal(t, at(want.rounded), recordTime(at(now), false), now)
	}

	v, s := subjectsOf(t, Memory(), testKEK(t), nil)
	keys, p := s.opened.current.Load(), s.opened.id.purpose
	pseudonym, err := keys.pseudonymOf(p, "alice")
	require.NoError(t, err)
	name := subjectRecordName(p, pseudonym)
	for _, r := range []subjectRecord{newSubjectRecord(time.Time{}), {count: 1}} {
		for seconds, want := range map[int64]error{0: nil, format.MaxSeconds: nil, format.MaxSeconds + 1: errSubjectRecord, 1<<40 - 1: errSubjectRecord} {
			r.at = at(seconds)
			_, err := decodeSubject(keys.seal, keys.vault, p, pseudonym, r.encode(keys, p, pseudonym))
			require.Equal(t, want, err, seconds)
		}
	}

	// A person with such a record can be erased, and the certificate is JSON.
	r := newSubjectRecord(at(1<<40 - 1))
	_, err = v.store.Put(t.Context(), Record{Name: name, Data: r.encode(keys, p, pseudonym)})
	require.NoError(t, err)
	require.ErrorIs(t, s.Prefetch(t.Context(), "alice"), ErrCorrupt)
	certificates, err := v.Erase(t.Context(), "alice", p)
	require.NoError(t, err)
	_, err = json.Marshal(certificates)
	require.NoError(t, err)
}

// The bytes of a subject's key are gone once it is ready for use, and its ciphertexts
// do not name it.
func TestSubjectKeysOpened(t *testing.T) {
	r := newSubjectRecord(time.Now())
	require.NotEqual(t, make([]byte, format.DEKSize), r.key)
	require.NotEqual(t, r.key, newSubjectRecord(time.Now()).key)
	k, err := r.open()
	require.NoError(t, err)
	require.Equal(t, make([]byte, format.DEKSize), r.key)
	sealed := k.seal([]byte("before"), []byte("text"), []byte("data"))
	require.Equal(t, "before", string(sealed[:6]))
	sealed = sealed[6:]
	require.Len(t, sealed, format.NonceSize+len("text")+format.TagSize)
	plain, err := k.open([]byte("to "), sealed, []byte("data"))
	require.NoError(t, err)
	require.Equal(t, "to text", string(plain))
	for n := range sealed {
		plain, err := k.open(nil, sealed[:n], []byte("data"))
		require.ErrorIs(t, err, ErrCorrupt, n)
		require.Empty(t, plain)
	}
	for i := range format.KeyIDSize { // which the cipher does not bind
		sealed[i] ^= 1
		_, err := k.open(nil, sealed, []byte("data"))
		require.ErrorIs(t, err, ErrCorrupt, i)
		sealed[i] ^= 1
	}
	_, err = subjectRecord{}.open()
	require.ErrorIs(t, err, ErrErased)
	_, err = subjectRecord{key: make([]byte, 5)}.open()
	require.ErrorIs(t, err, errSubjectRecord)
}

func TestUnpadRefusesOtherPadding(t *testing.T) {
	for n := range format.MaxPlaintext + 1 {
		padded := format.AppendPadded(nil, strings.Repeat("x", n))
		plain, ok := format.Unpad(padded)
		require.Equal(t, n > 0, ok, n)
		require.Len(t, plain, n)
	}
	most := strings.Repeat("x", format.MaxPlaintext)
	for name, padded := range map[string]string{
		"nothing":          "",
		"zeros alone":      strings.Repeat("\x00", format.PadStep),
		"no marker":        "text" + strings.Repeat("\x00", format.PadStep-4),
		"another marker":   "text\x81" + strings.Repeat("\x00", format.PadStep-5),
		"a step too long":  "text\x80" + strings.Repeat("\x00", 2*format.PadStep-5),
		"one too long":     strings.Repeat("x", format.PadStep-1) + "\x80" + strings.Repeat("\x00", format.PadStep),
		"over long":        most + "x\x80" + strings.Repeat("\x00", format.PadStep-2),
		"without any text": "\x80" + strings.Repeat("\x00", format.PadStep-1),
	} {
		plain, ok := format.Unpad([]byte(padded))
		require.False(t, ok, name)
		require.Empty(t, plain, name)
	}
}

// A person's key is made once, whoever of two processes comes first.
func TestSubjectKeyOfTheFasterProcess(t *testing.T) {
	memory, kek := Memory(), testKEK(t)
	_, first := subjectsOf(t, memory, kek, nil)
	store := &beforePut{Store: memory}
	_, second := subjectsOf(t, store, kek, nil)
	kind := MustKind("note", "vault.Note")
	var theirs Sealed
	store.before = func() error {
		store.before = nil
		var err error
		theirs, err = Seal(t.Context(), kind, "theirs", first.For("alice"))
		return err
	}
	ours, err := Seal(t.Context(), kind, "ours", second.For("alice"))
	require.NoError(t, err)
	for _, s := range []*Scope{first, second} {
		for want, v := range map[string]Sealed{"ours": ours, "theirs": theirs} {
			got, err := s.For("alice").Reveal(t.Context(), kind, v)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}

	// One that was not stored seals nothing.
	store.before = func() error { return errors.New("disk full") }
	_, err = Seal(t.Context(), kind, "text", second.For("bob"))
	require.ErrorIs(t, err, ErrUnavailable)
	_, known := second.opened.subjects.Load().get("bob")
	require.False(t, known)
}

// beforePut is a store that does something before it is changed.
type beforePut struct {
	Store
	before func() error
}

func (s *beforePut) Put(ctx context.Context, r Record) (int64, error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return 0, err
		}
	}
	return s.Store.Put(ctx, r)
}

// A record takes effect that it was possible to prefetch, and a faulty one is told.
func TestPrefetchTellsFaults(t *testing.T) {
	store, kek := Memory(), testKEK(t)
	_, s := subjectsOf(t, store, kek, nil)
	kind := MustKind("note", "vault.Note")
	_, err := Seal(t.Context(), kind, "text", s.For("alice"))
	require.NoError(t, err)
	_, fresh := subjectsOf(t, store, kek, nil)
	require.NoError(t, fresh.Prefetch(t.Context()))
	require.NoError(t, fresh.Prefetch(t.Context(), "nobody", "alice"))
	key, known := fresh.opened.subjects.Load().get("alice")
	require.True(t, known)
	require.NotNil(t, key)
	_, known = fresh.opened.subjects.Load().get("nobody")
	require.False(t, known)
	require.Empty(t, fresh.opened.subjectReads)

	pseudonym, err := s.opened.current.Load().pseudonymOf(s.opened.id.purpose, "alice")
	require.NoError(t, err)
	name := subjectRecordName(s.opened.id.purpose, pseudonym)
	records, err := store.Get(t.Context(), name)
	require.NoError(t, err)
	records[0].Data[len(records[0].Data)-1] ^= 1
	_, err = store.Put(t.Context(), records[0])
	require.NoError(t, err)
	_, fresh = subjectsOf(t, store, kek, nil)
	err = fresh.Prefetch(t.Context(), "nobody", "alice")
	require.ErrorIs(t, err, ErrCorrupt)
	require.EqualError(t, err, "vault: fetching keys of subjects: malformed subject record: "+ErrCorrupt.Error())
	require.Empty(t, fresh.opened.subjectReads)
	require.ErrorIs(t, (*Scope)(nil).Prefetch(t.Context(), "alice"), ErrInvalid)
}

// So many reads wait for a store, and no more: whoever comes then waits with a limit
// of time of their own.
func TestTooManyReadsAreWaiting(t *testing.T) {
	store, kek := Memory(), testKEK(t)
	synctest.Test(t, func(t *testing.T) {
		v, s := subjectsOf(t, store, kek, &Options{Timeout: time.Minute})
		for range maxSubjectReads {
			s.opened.subjectReads <- struct{}{}
		}
		kind := MustKind("note", "vault.Note")
		for name, use := range map[string]func(context.Context) error{
			"prefetch": func(ctx context.Context) error { return s.Prefetch(ctx, "alice") },
			"seal": func(ctx context.Context) error {
				_, err := Seal(ctx, kind, "text", s.For("alice"))
				return err
			},
		} {
			start := time.Now()
			err := use(t.Context())
			require.ErrorIs(t, err, ErrUnavailable, name)
			require.Equal(t, time.Minute, time.Since(start), name)
			synctest.Wait()
			v.mu.Lock()
			require.Empty(t, v.calls, name)
			v.mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start = time.Now()
			require.ErrorIs(t, use(ctx), ErrUnavailable, name)
			require.Equal(t, time.Second, time.Since(start), name)
			cancel()
			var left []*call
			v.mu.Lock()
			for _, c := range v.calls {
				left = append(left, c)
			}
			v.mu.Unlock()
			time.Sleep(time.Minute)
			for _, c := range left {
				<-c.done
				require.ErrorIs(t, c.err, ErrUnavailable, name)
			}
			require.Len(t, s.opened.subjectReads, maxSubjectReads, name)
		}
		<-s.opened.subjectReads
		require.NoError(t, s.Prefetch(t.Context(), "alice"))
		_, err := Seal(t.Context(), kind, "text", s.For("alice"))
		require.NoError(t, err)
		require.Len(t, s.opened.subjectReads, maxSubjectReads-1, "places are given back")
		v.Close()
	})
}

// What erased a subject is believed for the grave time, and what the store said no
// longer than a lifetime from the question.
func TestSubjectCacheBelieves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime, timeout = time.Minute, time.Second
		c := newSubjectCache(newClock(), 0, lifetime, 0, timeout)
		key := &subjectKey{}
		state := func(subject string) string {
			got, known := c.get(subject)
			switch {
			case !known:
				return "unknown"
			case got == nil:
				return "erased"
			}
			require.Same(t, key, got)
			return "key"
		}
		require.Equal(t, "unknown", state("alice"))
		require.False(t, c.recentlyErased("alice"))
		c.put("alice", key, c.clock.exact()-moment(lifetime-time.Second))
		require.Equal(t, "key", state("alice"))
		pass(c, time.Second)
		require.Equal(t, "unknown", state("alice"), "since the question")
		c.put("alice", key, c.clock.exact())
		c.put("bob", nil, c.clock.exact())
		require.Equal(t, "erased", state("bob"))
		require.False(t, c.recentlyErased("bob"), "not by this process")

		c.erase("alice")
		require.True(t, c.recentlyErased("alice"))
		c.put("alice", key, c.clock.exact()) // an answer from before, that comes late
		pass(c, lifetime+format.MaxSlots*timeout-1)
		require.Equal(t, "erased", state("alice"))
		require.True(t, c.recentlyErased("alice"))
		require.Equal(t, "unknown", state("bob"))
		c.put("alice", nil, c.clock.exact())
		pass(c, time.Nanosecond)
		require.False(t, c.recentlyErased("alice"))
		require.Equal(t, "erased", state("alice"), "what the store says")
		pass(c, lifetime)
		require.Equal(t, "unknown", state("alice"))
		c.erase("carol")
		require.Equal(t, "erased", state("carol"), "who was unknown")
		require.Nil(t, c.shard("carol").find("carol"), "without an entry, which would be in no list of names")
		pass(c, lifetime+format.MaxSlots*timeout)
		require.Equal(t, "unknown", state("carol"))
	})
}

// A record that the store can't read is an error of its subject alone.
func TestUnreadableRecordOfASubject(t *testing.T) {
	ctx := t.Context()
	w := newLookWorld(t, nil)
	var names []string
	for _, subject := range []string{"alice", "bob"} {
		_, err := Seal(ctx, lookKind, "text", w.s.For(subject))
		require.NoError(t, err)
		pseudonym, err := w.s.opened.current.Load().pseudonymOf(w.s.Purpose(), subject)
		require.NoError(t, err)
		names = append(names, subjectRecordName(w.s.Purpose(), pseudonym))
	}
	w.store.setGet(func(ctx context.Context, asked ...string) ([]Record, error) {
		if slices.Contains(asked, names[1]) {
			return nil, ErrCorrupt
		}
		return w.store.Store.Get(ctx, asked...)
	})
	records, errs, err := w.s.opened.readRecords(ctx, names)
	require.NoError(t, err)
	require.Equal(t, names[0], records[0].Name)
	require.NoError(t, errs[0])
	require.True(t, ofOneRecord(errs[1]))
	require.ErrorIs(t, errs[1], ErrCorrupt)
}

// A cache that is full makes room by one, and only for who is new.
func TestSubjectCacheMakesRoom(t *testing.T) {
	c := newSubjectCache(newClock(), 64*3, time.Minute, 0, time.Second)
	require.Equal(t, 3, c.perShard)
	shard := c.shard("s")
	var inShard []string
	for i := 0; len(inShard) < 4; i++ {
		if name := fmt.Sprint("s", i); c.shard(name) == shard {
			inShard = append(inShard, name)
		}
	}
	for _, name := range inShard[:3] {
		c.put(name, nil, c.clock.exact())
	}
	entries := func() map[any]any { return maps.Collect(shard.entries.Range) }
	require.Len(t, entries(), 3)
	for range 50 {
		c.put(inShard[0], nil, c.clock.exact())
		require.Len(t, entries(), 3, "nobody goes for one who is there")
	}
	for range 50 {
		c.erase(inShard[1])
		c.put(inShard[1], nil, c.clock.exact())
		require.Len(t, entries(), 3, "nor for one who was erased and is asked about again")
		require.Len(t, shard.names, 3)
	}
	for i := range 50 {
		c.put(inShard[3-i%4], nil, c.clock.exact())
		require.Len(t, entries(), 3)
		require.Contains(t, entries(), inShard[3-i%4])
		require.ElementsMatch(t, slices.Collect(maps.Keys(entries())), shard.names)
	}
	require.Equal(t, 1, newSubjectCache(newClock(), 1, time.Minute, 0, time.Second).perShard)
}

// Erasures are forgotten once nothing from before them can be on its way any more.
func TestSubjectCacheSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSubjectCache(newClock(), 0, time.Minute, 0, time.Second)
		shard := c.shard("s")
		erase := func(first, n int) {
			for i := first; n > 0; i++ {
				if name := fmt.Sprint("s", i); c.shard(name) == shard {
					c.erase(name)
					n--
				}
			}
		}
		erase(0, 64)
		require.Len(t, shard.erased, 64)
		pass(c, c.erasedLifetime-1)
		erase(1_000_000, 1)
		require.Len(t, shard.erased, 65, "none is over")
		require.Equal(t, 2*64, shard.sweepAt)
		pass(c, time.Nanosecond)
		erase(2_000_000, 2*64-65)
		require.Len(t, shard.erased, 2*64)
		erase(3_000_000, 1)
		require.Len(t, shard.erased, 2*64-64+1, "64 are over")
		for name := range shard.erased {
			require.True(t, c.recentlyErased(name))
		}
	})
}

// pass lets time pass, and has the clock of c notice it.
func pass(c *subjectCache, d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	c.clock.exact()
}
