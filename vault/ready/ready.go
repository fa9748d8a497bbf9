// Package ready tells an orchestrator, such as Kubernetes, whether a process can use its
// keys:
//
//	mux.Handle("/readyz", ready.Handler(v, nil))
//
// A check asks neither the key store nor the key service, so it never hangs with them.
//
// # Ready without a store, and without a key service
//
// A process is ready while its keys last. A vault goes on with open keys while the key
// service is down, up to vault.Options.KeyLifetime after the service last agreed, and while
// the key store is down, up to vault.Options.SuspendLifetime after the store last answered.
// Such a process answers 200, and the body names the failure. It answers 503 from
// [Options.Margin] before that time. A whole fleet that is taken out of service at the start
// of an outage would make the outage longer: alert on the failure, and leave the fleet in
// service.
//
// Values of persons (vault.Scope.For) need the key store within
// vault.Options.SubjectLifetime. If nothing in the process works without them, set
// [Options.StoreWithin].
//
// # No restart
//
// The check is for readiness and not for liveness: a process that is restarted because
// its key service is down loses the keys that it has.
package ready

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// Options are the options of [Check] and [Handler]. A nil *Options has the defaults.
type Options struct {
	// Purposes are the purposes whose keys have to be open. If there are none, keys of
	// one purpose have to be open.
	Purposes purpose.Set
	// Margin is how long before its keys can't be used any more a process is not ready:
	// time to take it out of service. 0 is a minute. A negative Margin is 0.
	Margin time.Duration
	// StoreWithin, if it is above 0, makes a process not ready while the store fails and
	// has not answered for this long.
	StoreWithin time.Duration
}

// The states in a [Report] and in a [Keys]. Only StateReady is ready.
const (
	// StateReady: the keys can be used.
	StateReady = "ready"
	// StateNone: no keys are open. They have not been opened yet, or the vault is
	// closed, nil or zero.
	StateNone = "none"
	// StateMissing: the keys of a purpose of [Options.Purposes] are not open.
	StateMissing = "missing"
	// StateLapsing: the keys lapse within [Options.Margin].
	StateLapsing = "lapsing"
	// StateLapsed: the key service has to agree before the keys can be used again.
	StateLapsed = "lapsed"
	// StateStore: the store fails, and has not answered within [Options.StoreWithin], or
	// for so long that the vault refuses to use values from [Options.Margin] on, because
	// nobody knows whether they were suspended (see vault.Options.SuspendLifetime).
	StateStore = "store"
)

// The words for the store and the key service in a [Keys]. Any other word is the
// reason of a failure, as [audit.Event] lists them.
const (
	// OK: the last question was answered.
	OK = "ok"
	// Stale: no question has failed, and none was asked for longer than half of the
	// lease of the keys. They are not in use.
	Stale = "stale"
)

// A Report is the result of a check. It has names of purposes and fixed words, and tells
// nothing about values, persons and keys.
type Report struct {
	// Ready reports whether the process can use its keys.
	Ready bool `json:"ready"`
	// State is [StateReady], or the state of the first keys that are not ready.
	State string `json:"state"`
	// Keys has an element for each handle in use, sorted by purpose and handle, and
	// then one for each purpose that is missing.
	Keys []Keys `json:"keys,omitempty"`
}

// Keys are the opened keys of one purpose, or the missing ones.
type Keys struct {
	Purpose string `json:"purpose"`
	// Handle is "scope", "lookup" or "reader", "" for missing keys.
	Handle string `json:"handle,omitempty"`
	State  string `json:"state"`
	// Lease is the number of whole seconds until the keys lapse, at least 0.
	Lease int64 `json:"lease"`
	// Store and KeyService are [OK], [Stale], or the reason of the last failure.
	Store      string `json:"store,omitempty"`
	KeyService string `json:"key_service,omitempty"`
	// Erasing reports an erasure that is under way, or was left behind.
	Erasing bool `json:"erasing,omitempty"`
}

// Check checks v now. It calls neither the store nor the key service, and starts nothing.
// A nil, zero or closed vault is [StateNone].
func Check(v *vault.Vault, opts *Options) Report { return report(v.Status(), opts, time.Now()) }

func report(opened []vault.Opened, opts *Options, now time.Time) Report {
	if opts == nil {
		opts = &Options{}
	}
	r := Report{State: StateReady}
	if len(opened) == 0 {
		r.State = StateNone
	}
	open := make(map[string]bool)
	for _, o := range opened {
		open[o.Purpose.String()] = true
		r.add(keysOf(o, opts, now))
	}
	for p := range opts.Purposes.All() {
		if !open[p.String()] {
			r.add(Keys{Purpose: p.String(), State: StateMissing})
		}
	}
	r.Ready = r.State == StateReady
	return r
}

func (r *Report) add(k Keys) {
	if r.Keys = append(r.Keys, k); r.State == StateReady {
		r.State = k.State
	}
}

func keysOf(o vault.Opened, opts *Options, now time.Time) Keys {
	margin := opts.Margin
	if margin == 0 {
		margin = time.Minute
	}
	left := o.Lapses.Sub(now)
	k := Keys{
		Purpose: o.Purpose.String(), Handle: o.Handle, State: StateReady, Lease: int64(max(0, left).Seconds()),
		Store: word(o.RefreshErr), KeyService: word(o.RenewErr), Erasing: o.Erasing,
	}
	half := o.Lapses.Sub(o.Granted) / 2
	if k.Store == OK && now.Sub(o.Looked) > half {
		k.Store = Stale
	}
	if k.KeyService == OK && left < half && k.Store == Stale {
		k.KeyService = Stale
	}
	switch {
	case left <= 0:
		k.State = StateLapsed
	case left <= max(0, margin):
		k.State = StateLapsing
	case o.RefreshErr == nil: // keys that nobody uses are looked up before the next use
	case o.Stops.Sub(now) <= max(0, margin), opts.StoreWithin > 0 && now.Sub(o.Looked) > opts.StoreWithin:
		k.State = StateStore
	}
	return k
}

// word returns the reason for an error of a [vault.Opened], [OK] for nil.
func word(err error) string {
	if err == nil {
		return OK
	}
	for _, w := range []struct {
		err  error
		word string
	}{
		{vault.ErrCorrupt, "corrupt"}, {vault.ErrAccessDenied, "access"}, {vault.ErrNoKeys, "keys"},
		{vault.ErrUnavailable, "unavailable"}, {vault.ErrConflict, "conflict"}, {vault.ErrInvalid, "invalid"},
	} {
		if errors.Is(err, w.err) {
			return w.word
		}
	}
	return "other"
}

// Handler returns a handler that answers GET and HEAD with the [Report] of [Check] as
// JSON. The status is 200 for a process that is ready and 503 for one that is not.
//
// Keys are renewed while they are in use. Nobody uses a process that is not ready, so
// the handler has the vault ask again: it opens the keys anew, in the background, when
// three quarters of their lease are over, and while the store keeps the process from being
// ready. The caller in
// the events of it is "readiness". It opens no keys that are not open already. A call that
// hangs is waited for by nobody, and is followed by no other one.
func Handler(v *vault.Vault, opts *Options) http.Handler {
	h := &handler{vault: v, asked: make(map[handle]time.Time)}
	if opts != nil {
		h.opts = *opts
	}
	return h
}

type handler struct {
	vault *vault.Vault
	opts  Options

	mu     sync.Mutex
	asking bool
	asked  map[handle]time.Time // by the handles that were opened
}

type handle struct {
	purpose purpose.Purpose
	name    string
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	now, opened := time.Now(), h.vault.Status()
	report := report(opened, &h.opts, now)
	h.ask(opened, report, now)
	body, err := json.Marshal(report)
	status := http.StatusOK
	if err != nil || !report.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(append(body, '\n'))
	}
}

// The least time between two questions for one handle.
const (
	askEvery    = 5 * time.Minute
	askWhenLate = 10 * time.Second // if it is not ready
)

// ask has the vault ask for the keys that lapse.
func (h *handler) ask(opened []vault.Opened, report Report, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asking {
		return
	}
	var due []handle
	for i, o := range opened {
		id := handle{o.Purpose, o.Handle}
		pause := askEvery
		if s := report.Keys[i].State; s == StateLapsing || s == StateLapsed || s == StateStore {
			pause = askWhenLate
		}
		// While the keys are in use, the vault asks by itself from half of their lease on.
		late := o.Lapses.Add(-o.Lapses.Sub(o.Granted) / 4)
		if (now.After(late) || pause == askWhenLate) && now.Sub(h.asked[id]) >= pause {
			h.asked[id] = now
			due = append(due, id)
		}
	}
	if len(due) > 0 {
		h.asking = true
		go h.open(due)
	}
}

// open opens keys that are open. That has the vault renew their lease.
func (h *handler) open(due []handle) {
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asking = false
	}()
	ctx := audit.WithOperation(audit.WithCaller(context.Background(), "readiness"), "readiness")
	for _, id := range due {
		_ = h.openOne(ctx, id) // the next Status tells it
	}
}

func (h *handler) openOne(ctx context.Context, id handle) (err error) {
	switch id.name {
	case "lookup":
		_, err = h.vault.Lookup(ctx, id.purpose)
	case "reader":
		_, err = h.vault.Reader(ctx, id.purpose)
	default:
		_, err = h.vault.Scope(ctx, id.purpose)
	}
	return err
}
