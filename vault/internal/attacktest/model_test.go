package attacktest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/seed"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// A model says in plain terms what may be read, for random histories of several
// processes to be held against.
type model struct {
	t      *testing.T
	rng    *rand.Rand
	vaults []*vault.Admin // the processes, over one store
	values []*modelValue
	epoch  map[purpose.Purpose]int            // how often its seal key was rotated
	ids    map[purpose.Purpose]map[int]uint32 // key ids by epoch
	out    map[purpose.Purpose]map[int]bool   // epochs whose key is retired or destroyed
	gone   map[purpose.Purpose]map[int]bool   // destroyed
	erased map[purpose.Purpose]map[string]bool
	tally  map[string]int
}

type modelValue struct {
	sealed vault.Sealed
	text   string
	slots  map[purpose.Purpose]modelSlot
}

type modelSlot struct {
	subject string // "" for the purpose's own key
	epoch   int
	expires time.Time
}

var (
	modelPurposes = []purpose.Purpose{vaulttest.Security, vaulttest.Billing, vaulttest.Advertising}
	modelSubjects = []string{"", "alice", "bob", "carol", "dave"}
)

func TestRandomHistories(t *testing.T) {
	tally := map[string]int{}
	if n, ok := seed.Fixed(t); ok {
		synctest.Test(t, func(t *testing.T) { runHistory(t, n, tally) })
		return
	}
	histories := 30
	if testing.Short() {
		histories = 5
	}
	for n := range uint64(histories) {
		synctest.Test(t, func(t *testing.T) { runHistory(t, n, tally) })
	}
	// All that the model knows has to have come up, or it says nothing.
	for _, event := range []string{
		"read", "mismatch", "subject", "erased", "expired", "another", "retired",
		"seal", "extend", "withdraw", "expire", "reseal", "rotate", "retire", "reinstate", "destroy", "erase", "restart",
	} {
		require.NotZero(t, tally[event], event)
	}
}

func runHistory(t *testing.T, n uint64, tally map[string]int) {
	seed.Print(t, n)
	store, kek := vault.Memory(), vault.SharedKEK(vaulttest.NewAEAD(t))
	m := &model{
		t: t, rng: seed.New(n), tally: tally,
		epoch: map[purpose.Purpose]int{}, ids: map[purpose.Purpose]map[int]uint32{},
		out: map[purpose.Purpose]map[int]bool{}, gone: map[purpose.Purpose]map[int]bool{},
		erased: map[purpose.Purpose]map[string]bool{},
	}
	for range 3 {
		m.vaults = append(m.vaults, vaulttest.Open(t, store, kek, &vault.Options{ExactTimes: true}))
	}
	require.NoError(t, m.vaults[0].Generate(t.Context(), modelPurposes...))
	for _, p := range modelPurposes {
		m.ids[p], m.out[p], m.gone[p], m.erased[p] = map[int]uint32{}, map[int]bool{}, map[int]bool{}, map[string]bool{}
		m.noteKey(p)
	}
	for range 120 {
		switch n := m.rng.IntN(100); {
		case n < 40:
			m.seal()
		case n < 50:
			m.extend()
		case n < 58:
			m.withdraw()
		case n < 63:
			m.expire()
		case n < 72:
			m.reseal()
		case n < 78:
			m.rotate()
		case n < 83:
			m.retire()
		case n < 86:
			m.reinstate()
		case n < 89:
			m.destroy()
		case n < 94:
			m.erase()
		case n < 97:
			i := m.rng.IntN(len(m.vaults))
			m.vaults[i].Close()
			m.vaults[i] = vaulttest.Open(t, store, kek, &vault.Options{ExactTimes: true})
			m.tally["restart"]++
		default:
			time.Sleep(time.Duration(m.rng.IntN(60)) * time.Minute)
		}
		m.checkSome(10)
	}
	m.checkAll()
	for _, v := range m.vaults {
		v.Close()
	}
}

func pick[T any](m *model, from []T) T { return from[m.rng.IntN(len(from))] }

func (m *model) vault() *vault.Admin      { return pick(m, m.vaults) }
func (m *model) purpose() purpose.Purpose { return pick(m, modelPurposes) }

func (m *model) scope(p purpose.Purpose, subject string) *vault.Scope {
	s := vaulttest.Scope(m.t, m.vault(), p)
	if subject != "" {
		s = s.For(subject)
	}
	return s
}

// settle makes every process know what the store has.
func (m *model) settle(p purpose.Purpose) {
	for _, v := range m.vaults {
		require.NoError(m.t, v.RewrapSubjects(m.t.Context(), p, "", nil))
	}
}

func (m *model) noteKey(p purpose.Purpose) {
	keys, err := m.vault().Keys(m.t.Context(), p)
	require.NoError(m.t, err)
	for _, k := range keys {
		if k.Role == vault.RoleSeal && k.Status == vault.Primary {
			m.ids[p][m.epoch[p]] = k.ID
		}
	}
}

func (m *model) seal() {
	v := &modelValue{text: fmt.Sprint("text ", m.rng.Uint64()), slots: map[purpose.Purpose]modelSlot{}}
	var sealers []vault.Sealer
	erased := false
	person := pick(m, modelSubjects[1:])
	for _, p := range modelPurposes[:1+m.rng.IntN(3)] {
		slot := modelSlot{subject: pick(m, []string{"", person, person}), epoch: m.epoch[p]}
		s := m.scope(p, slot.subject)
		if m.rng.IntN(3) == 0 {
			retain := time.Duration(1+m.rng.IntN(120)) * time.Minute
			s, slot.expires = s.Under(purpose.Basis{Retain: retain}), time.Now().Truncate(time.Second).Add(retain)
		}
		erased = erased || m.erased[p][slot.subject]
		v.slots[p], sealers = slot, append(sealers, s)
	}
	var err error
	v.sealed, err = vault.Seal(m.t.Context(), vaulttest.Note, v.text, sealers...)
	if erased {
		require.ErrorIs(m.t, err, vault.ErrErased)
		return
	}
	require.NoError(m.t, err)
	m.values = append(m.values, v)
	m.tally["seal"]++
}

// want says what a scope of that purpose and subject gets of v.
func (m *model) want(v *modelValue, p purpose.Purpose, subject string) error {
	slot, collected := v.slots[p]
	switch {
	case !collected:
		m.tally["mismatch"]++
		return purpose.ErrMismatch
	case (slot.subject == "") != (subject == ""):
		m.tally["subject"]++
		return vault.ErrSubject
	case m.erased[p][subject]:
		m.tally["erased"]++
		return vault.ErrErased
	case slot.subject != subject:
		m.tally["another"]++
		return vault.ErrCorrupt
	case subject == "" && m.out[p][slot.epoch]:
		m.tally["retired"]++
		return vault.ErrRetired
	case !slot.expires.IsZero() && !time.Now().Before(slot.expires):
		m.tally["expired"]++
		return vault.ErrExpired
	}
	m.tally["read"]++
	return nil
}

func (m *model) check(v *modelValue, p purpose.Purpose, subject string) {
	text, err := m.scope(p, subject).Reveal(m.t.Context(), vaulttest.Note, v.sealed)
	if want := m.want(v, p, subject); want != nil {
		require.ErrorIs(m.t, err, want)
		require.Empty(m.t, text)
		return
	}
	require.NoError(m.t, err)
	require.Equal(m.t, v.text, text)
}

func (m *model) checkSome(n int) {
	for range n {
		if len(m.values) > 0 {
			v, p := pick(m, m.values), m.purpose()
			m.check(v, p, pick(m, modelSubjects))
			m.check(v, p, v.slots[p].subject)
		}
	}
}

func (m *model) checkAll() {
	for _, v := range m.values {
		for _, p := range modelPurposes {
			m.check(v, p, v.slots[p].subject)
		}
	}
}

// ofPerson reports whether a slot of v is of a person.
func (v *modelValue) ofPerson() bool {
	for _, slot := range v.slots {
		if slot.subject != "" {
			return true
		}
	}
	return false
}

func (m *model) extend() {
	if len(m.values) == 0 {
		return
	}
	v, from, to := pick(m, m.values), m.purpose(), m.purpose()
	slot := modelSlot{subject: pick(m, modelSubjects), epoch: m.epoch[to]}
	if m.rng.IntN(4) > 0 && v.slots[from].subject != "" {
		slot.subject = v.slots[from].subject
	}
	target := m.scope(to, slot.subject).Under(purpose.Basis{Legal: purpose.Consent, Consent: "consent-1"})
	extended, err := vault.Extend(m.t.Context(), vaulttest.Note, v.sealed, nil, m.scope(from, v.slots[from].subject), target)
	_, present := v.slots[to]
	want := m.want(v, from, v.slots[from].subject)
	switch {
	case want != nil:
		require.ErrorIs(m.t, err, want)
	case v.slots[from].subject != "" && slot.subject != v.slots[from].subject:
		require.ErrorIs(m.t, err, vault.ErrInvalid) // another person's
	case v.slots[from].subject == "" && slot.subject != "" && v.ofPerson():
		require.ErrorIs(m.t, err, vault.ErrInvalid) // perhaps another person's
	case present:
		require.ErrorIs(m.t, err, vault.ErrInvalid)
	case m.erased[to][slot.subject]:
		require.ErrorIs(m.t, err, vault.ErrErased)
	default:
		require.NoError(m.t, err)
		slot.expires = v.slots[from].expires
		v.sealed, v.slots[to] = extended, slot
		m.tally["extend"]++
	}
}

func (m *model) withdraw() {
	if len(m.values) == 0 {
		return
	}
	v, p := pick(m, m.values), m.purpose()
	v.sealed = v.sealed.Without(p)
	delete(v.slots, p)
	m.dropEmpty()
	m.tally["withdraw"]++
}

func (m *model) expire() {
	for _, v := range m.values {
		v.sealed = v.sealed.WithoutExpired()
		for p, slot := range v.slots {
			if !slot.expires.IsZero() && !time.Now().Before(slot.expires) {
				delete(v.slots, p)
				m.tally["expire"]++
			}
		}
	}
	m.dropEmpty()
}

func (m *model) dropEmpty() {
	m.values = slices.DeleteFunc(m.values, func(v *modelValue) bool {
		require.Equal(m.t, len(v.slots) == 0, v.sealed.IsZero())
		return v.sealed.IsZero()
	})
}

func (m *model) reseal() {
	if len(m.values) == 0 {
		return
	}
	v, p := pick(m, m.values), m.purpose()
	slot := v.slots[p]
	s := m.scope(p, slot.subject)
	resealed, err := vault.Reseal(m.t.Context(), vaulttest.Note, v.sealed, nil, s)
	if want := m.want(v, p, slot.subject); want != nil {
		require.ErrorIs(m.t, err, want)
		return
	}
	require.NoError(m.t, err)
	require.True(m.t, resealed.OnPrimaryKey(s))
	slot.epoch = m.epoch[p]
	v.sealed, v.slots[p] = resealed, slot
	m.tally["reseal"]++
}

func (m *model) rotate() {
	p := m.purpose()
	require.NoError(m.t, vaulttest.RotateNow(m.t.Context(), m.vault(), p, vault.RoleSeal))
	m.epoch[p]++
	m.noteKey(p)
	m.settle(p)
	m.tally["rotate"]++
}

func (m *model) retire() {
	p := m.purpose()
	if m.epoch[p] == 0 {
		return
	}
	epoch := m.rng.IntN(m.epoch[p])
	err := m.vault().Retire(m.t.Context(), p, m.ids[p][epoch])
	if m.out[p][epoch] {
		require.ErrorIs(m.t, err, vault.ErrInvalid)
		return
	}
	require.NoError(m.t, err)
	m.out[p][epoch] = true
	m.settle(p)
	m.tally["retire"]++
}

func (m *model) reinstate() {
	p, epoch, ok := m.retired()
	if ok {
		require.NoError(m.t, m.vault().Reinstate(m.t.Context(), p, m.ids[p][epoch]))
		delete(m.out[p], epoch)
		m.settle(p)
		m.tally["reinstate"]++
	}
}

func (m *model) destroy() {
	p, epoch, ok := m.retired()
	if ok {
		require.NoError(m.t, m.vault().Destroy(m.t.Context(), p, m.ids[p][epoch]))
		m.gone[p][epoch] = true
		m.settle(p)
		m.tally["destroy"]++
	}
}

// retired returns a key that is retired and not destroyed.
func (m *model) retired() (p purpose.Purpose, epoch int, ok bool) {
	p = m.purpose()
	for epoch := range m.epoch[p] {
		if m.out[p][epoch] && !m.gone[p][epoch] {
			return p, epoch, true
		}
	}
	return p, 0, false
}

func (m *model) erase() {
	p, subject := m.purpose(), pick(m, modelSubjects[1:])
	_, err := m.vault().Erase(m.t.Context(), subject, p)
	require.NoError(m.t, err)
	m.erased[p][subject] = true
	time.Sleep(time.Minute) // for the other processes
	m.tally["erase"]++
}
