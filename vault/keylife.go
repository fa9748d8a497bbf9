package vault

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"
)

// A rotation publishes a key: the key record names the time at which the key becomes the
// primary one. By then every process has read the record, so all of them look for the
// key before the first of them uses it.

// A schedule says which key of a keyset is the primary key at any time. It is safe for
// use from many goroutines at once.
type schedule[K any] struct {
	keys   []scheduled[K] // by time; the first is the primary key of the keyset
	passed atomic.Int32   // the number of promotions whose time has come
}

// A scheduled is a key that becomes the primary key at the given time.
type scheduled[K any] struct {
	key K
	at  int64 // Unix seconds
}

// newSchedule returns the schedule of a keyset with the given primary key, and with the
// given times of promotions. The function key returns the key of an id, and reports
// whether there is one.
func newSchedule[K any](primary K, promotions map[uint32]int64, key func(id uint32) (K, bool)) (*schedule[K], error) {
	s := &schedule[K]{keys: []scheduled[K]{{key: primary}}}
	for id, at := range promotions {
		k, ok := key(id)
		if !ok {
			return nil, errKeyset
		}
		s.keys = append(s.keys, scheduled[K]{k, at})
	}
	slices.SortFunc(s.keys[1:], func(a, b scheduled[K]) int { return cmp.Compare(a.at, b.at) })
	return s, nil
}

// primary returns the primary key by the wall clock. It reads the clock only while a
// promotion is still to come. A promotion that has passed stays so, even if the clock is
// set back.
func (s *schedule[K]) primary() K {
	if n := s.passed.Load(); int(n) == len(s.keys)-1 { // nearly always
		return s.keys[n].key
	}
	return s.advance()
}

// advance is primary while a key is published. It looks at the clock.
func (s *schedule[K]) advance() K {
	n := s.passed.Load()
	now, next := time.Now().Unix(), n
	for int(next) < len(s.keys)-1 && s.keys[next+1].at <= now {
		next++
	}
	if next > n {
		s.passed.CompareAndSwap(n, next)
	}
	return s.keys[next].key
}

// last returns the primary key as of the last call of primary, without a look at the
// clock.
func (s *schedule[K]) last() K { return s.keys[s.passed.Load()].key }

// mayBecome reports whether f accepts a key that is still to become the primary key.
func (s *schedule[K]) mayBecome(f func(K) bool) bool {
	for _, k := range s.keys[s.passed.Load()+1:] {
		if f(k.key) {
			return true
		}
	}
	return false
}

// asOf returns the keys of a record with the statuses that they have at the given time.
func asOf(keys []Key, now time.Time) []Key {
	last := make(map[Role]Key)
	for _, k := range keys {
		if !k.PrimaryAt.IsZero() && !k.PrimaryAt.After(now) && !k.PrimaryAt.Before(last[k.Role].PrimaryAt) {
			last[k.Role] = k
		}
	}
	keys = slices.Clone(keys)
	for i := range keys {
		k := &keys[i]
		promoted, some := last[k.Role]
		switch {
		case !some:
			continue
		case k.ID == promoted.ID:
			k.Status = Primary
		case k.Status == Primary:
			k.Status = Active
		}
		if !k.PrimaryAt.After(promoted.PrimaryAt) {
			k.PrimaryAt = time.Time{}
		}
	}
	return keys
}

// maxKeyTime is the last second that a key record can name: 9999-12-31T23:59:59Z.
const maxKeyTime = 253402300799

// checkTimes refuses times that do not fit the keyset h: every key has a time of
// creation, every key that is out of use has a time of retirement and no other key has
// one, and the keys that are still to become primary are in use. No two of them become
// primary in one second.
func (r *keysetRecord) checkTimes(h *keyset.Handle) error {
	retired, coming := 0, 0
	promotions := make(map[int64]bool)
	for i := range h.Len() {
		e, err := h.Entry(i)
		if err != nil {
			return errKeyset
		}
		id, inUse := e.KeyID(), e.KeyStatus() == keyset.Enabled
		_, isRetired := r.Retired[id]
		at, isComing := r.Primary[id]
		_, isCreated := r.Created[id]
		if !isCreated || isRetired == inUse || isComing && (!inUse || e.IsPrimary()) {
			return errKeyset
		}
		if isRetired {
			retired++
		}
		if isComing {
			coming++
			promotions[at] = true
		}
	}
	if len(r.Created) != h.Len() || len(r.Retired) != retired || len(r.Primary) != coming || len(promotions) != coming {
		return errKeyset
	}
	for _, times := range []map[uint32]int64{r.Created, r.Retired, r.Primary} {
		if !validTimes(times) {
			return errKeyset
		}
	}
	return nil
}

// validTimes reports whether all times are between 1970 and 9999.
func validTimes(times map[uint32]int64) bool {
	for _, at := range times {
		if at < 0 || at > maxKeyTime {
			return false
		}
	}
	return true
}

// unixNow returns the time in seconds, for a key record. A clock that is set before 1970
// counts as 1970.
func unixNow() int64 { return max(0, time.Now().Unix()) }

// publication returns the time at which a key that is published now becomes primary:
// every process has looked at the store by then, and a tenth of that time is for clocks
// that differ.
func (o *Options) publication(now time.Time) int64 {
	return max(0, now.Add(o.Refresh+o.Refresh/10+time.Second-1).Unix())
}

// fold makes each promotion permanent whose time has come by now, so that the primary
// key of the keyset is the primary key at that time.
func (r *keyRecord) fold(now time.Time) error {
	for _, set := range r.keysets() {
		id, at := uint32(0), int64(-1)
		for next, t := range set.Primary {
			if t <= now.Unix() && t > at {
				id, at = next, t
			}
		}
		if at < 0 {
			continue
		}
		if err := set.promote(id); err != nil && set.role != RoleCollect {
			return err // a platform without X25519 leaves keys of collectors as they are
		}
	}
	return nil
}

// promote makes a published key the primary key. Keys that were to become primary before
// it no longer do.
func (r *keysetRecord) promote(id uint32) error {
	h, err := r.handle()
	if err != nil {
		return err
	}
	m := keyset.NewManagerFromHandle(h)
	if err := m.SetPrimary(id); err != nil {
		return errKeyset
	}
	at := r.Primary[id]
	r.Primary = maps.Clone(r.Primary)
	maps.DeleteFunc(r.Primary, func(_ uint32, t int64) bool { return t <= at })
	return r.set(m)
}

// hasYounger reports whether the purpose has a key of the role in use that was made after
// the given time. A key may have been made at the end of the second that it names.
func (r *keyRecord) hasYounger(role Role, than time.Time) (bool, error) {
	all, err := r.describe()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(all, func(k Key) bool {
		return k.Role == role && k.Status != Retired && k.Created.Add(time.Second).After(than)
	}), nil
}

// checkDestroyed refuses a list of destroyed keys that the record has, and times that no
// key record names.
func (r *keyRecord) checkDestroyed() error {
	if !validTimes(r.Destroyed) {
		return errKeyRecord
	}
	for _, set := range r.keysets() {
		for id := range set.Created {
			if _, destroyed := r.Destroyed[id]; destroyed {
				return errKeyRecord
			}
		}
	}
	return nil
}

// A keyState is the status of a key id of a purpose, also after the key was destroyed.
type keyState byte

const (
	keyInUse keyState = iota + 1
	keyRetired
	keyDestroyed
)

// states returns the states of all keys that the purpose has or had, by id.
func (r *keyRecord) states() map[uint32]keyState {
	states := make(map[uint32]keyState)
	for _, set := range r.keysets() {
		for id := range set.Created {
			states[id] = keyInUse
		}
		for id := range set.Retired {
			states[id] = keyRetired
		}
	}
	for id := range r.Destroyed {
		states[id] = keyDestroyed
	}
	return states
}

// lacks reports whether k, from a newer record, has lost a key of at that was not
// destroyed, or has one again that was.
func (k *keys) lacks(at *keys) bool {
	for id, was := range at.states {
		if is, known := k.states[id]; !known || was == keyDestroyed && is != keyDestroyed {
			return true
		}
	}
	return false
}

// unknown returns the error for a sealed part that names no key in use: [ErrRetired] for
// a key that the purpose has out of use or had, and otherwise [ErrCorrupt].
func (k *keys) unknown(sealed []byte) error {
	if id, ok := keyIDOf(sealed); ok {
		if s := k.states[id]; s == keyRetired || s == keyDestroyed {
			return ErrRetired
		}
	}
	return ErrCorrupt
}

// errLostKey reports a record that lacks a key which is in use here.
var errLostKey = fmt.Errorf("key record lost a key: %w", ErrCorrupt)

// errUnchanged ends a change of a key record that has nothing to change.
var errUnchanged = errors.New("nothing to change")

// names are the names that the fields of a JSON object can have, and the names within
// their values.
type names map[string]names

// ids are the names of an object whose names are ids of keys, in decimal.
var ids = names{"0": nil}

// has reports whether n has the name, and returns the names within its value.
func (n names) has(name string) (within names, ok bool) {
	if _, ofIDs := n["0"]; ofIDs {
		id, err := strconv.ParseUint(name, 10, 32)
		return nil, err == nil && strconv.FormatUint(id, 10) == name
	}
	within, ok = n[name]
	return within, ok
}
