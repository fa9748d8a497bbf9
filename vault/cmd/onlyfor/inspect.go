package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/cmd/onlyfor/internal/term"
	"github.com/onlyfor/onlyfor/vault/internal/format"
)

// inspectCmd reads a value without keys.
type inspectCmd struct {
	Value   string `arg:"" optional:"" help:"The sealed value. Default: from standard input."`
	Store   bool   `help:"Say what became of each key. It opens the keys, and not the value."`
	Verify  bool   `help:"Open the value under each purpose, and show nothing of it. It needs a reason."`
	Reason  string `placeholder:"TEXT" help:"Why, for the audit log."`
	Subject string `placeholder:"ID" help:"The person whom the value was sealed for, for --verify."`
}

// A valueReport is the result of inspect.
type valueReport struct {
	Verified bool         `json:"verified"`
	Kind     string       `json:"kind"`
	Bytes    valueBytes   `json:"bytes"`
	Slots    []slotReport `json:"slots"`
}

type valueBytes struct {
	Text int `json:"text"`
	ID   int `json:"id"`
}

type slotReport struct {
	Purpose   purpose.Purpose `json:"purpose"`
	Type      string          `json:"type"`
	Key       string          `json:"key,omitempty"`
	KeyStatus string          `json:"key_status,omitempty"`
	Verified  string          `json:"verified,omitempty"`
	Legal     purpose.Legal   `json:"legal"`
	Notice    string          `json:"notice,omitempty"`
	Consent   string          `json:"consent,omitempty"`
	Collected time.Time       `json:"collected,omitzero"`
	Stated    bool            `json:"stated,omitempty"`
	Expires   time.Time       `json:"expires,omitzero"`
	Expired   bool            `json:"expired,omitempty"`
	From      purpose.Purpose `json:"from,omitzero"`
	Header    int             `json:"header_bytes"`
	Sealed    int             `json:"sealed_bytes"`
}

// slotTypes are the names of the types of slots, by the key that a slot is sealed under.
var slotTypes = map[byte]string{
	format.OfPurpose:        "key of the purpose",
	format.OfSubject:        "key of one person",
	format.OfCollector:      "collector, X25519",
	format.OfCollectorXWing: "collector, X-Wing",
}

func (c *inspectCmd) Run(ctx context.Context, s *session) error {
	if c.Verify && strings.TrimSpace(c.Reason) == "" {
		return misuse("--verify opens the value, and so needs a --reason for the audit log")
	}
	v, err := s.value(c.Value)
	if err != nil {
		return err
	}
	r := describeValue(v, time.Now())
	failed := false
	if c.Store || c.Verify {
		ctx, at, err := s.open(ctx, options{reason: c.Reason})
		if err != nil {
			return err
		}
		defer at.Close()
		if c.Store {
			at.explainKeys(ctx, &r)
		}
		if c.Verify {
			failed = !at.verifySlots(ctx, v, c.Subject, &r)
		}
	}
	if err := s.print(r, r.write); err != nil {
		return err
	}
	if failed {
		return exit{found}
	}
	return nil
}

// describeValue returns everything that anybody can read in v.
func describeValue(v vault.Sealed, now time.Time) valueReport {
	text, _ := v.MarshalText()
	r := valueReport{Kind: v.Kind(), Bytes: valueBytes{Text: len(text), ID: format.IDSize}}
	parts, _ := format.Split(string(text))
	for _, part := range parts.Slots {
		slot, _, _ := format.CutSlot(part.Slot)
		provenance := slot.Provenance()
		sr := slotReport{
			Purpose: purpose.MustParse(part.Name), Type: slotTypes[slot.Type()],
			Legal: provenance.Legal, Notice: provenance.Notice, Consent: provenance.Consent,
			Collected: provenance.Collected, Stated: provenance.Stated, Expires: provenance.Expires, From: provenance.From,
			Expired: !provenance.Expires.IsZero() && !now.Before(provenance.Expires),
			Header:  len(slot.Header), Sealed: len(slot.Sealed),
		}
		if id, ok := slot.KeyID(); ok {
			sr.Key = keyName(id)
		}
		r.Slots = append(r.Slots, sr)
	}
	return r
}

// keyName is the text of the id of a key.
func keyName(id uint32) string { return fmt.Sprintf("%08x", id) }

// explainKeys fills in the status of the key that each slot names.
func (at *site) explainKeys(ctx context.Context, r *valueReport) {
	for i := range r.Slots {
		slot := &r.Slots[i]
		if slot.Key == "" {
			slot.KeyStatus = "names no key: onlyfor inspect --verify --subject asks for the person's"
			continue
		}
		keys, err := at.admin.Keys(ctx, slot.Purpose)
		if err != nil {
			slot.KeyStatus = "unknown: " + plain(err)
			continue
		}
		slot.KeyStatus = "not in the key store: destroyed, or of another vault. A backup of the key store may have it"
		for _, k := range keys {
			if keyName(k.ID) == slot.Key {
				slot.KeyStatus = fate(k, slot.Purpose, time.Now())
			}
		}
	}
}

// fate tells the status of a key, and the command that changes it.
func fate(k vault.Key, p purpose.Purpose, now time.Time) string {
	switch {
	case k.Status == vault.Retired:
		return fmt.Sprintf("retired %s ago: onlyfor keys reinstate %v %s", ago(k.Retired, now), p, keyName(k.ID))
	case !k.PrimaryAt.IsZero():
		return "published: primary from " + k.PrimaryAt.Format(time.RFC3339)
	case k.Status == vault.Active:
		return "in use for old values: it opens"
	}
	return "primary: it opens"
}

// verifySlots opens the slots of all purposes and drops the plaintext. It reports whether
// all of them opened.
func (at *site) verifySlots(ctx context.Context, v vault.Sealed, subject string, r *valueReport) bool {
	r.Verified = true
	for i := range r.Slots {
		slot := &r.Slots[i]
		whose := ""
		if slot.Type == slotTypes[format.OfSubject] {
			whose = subject
		}
		err := func() error {
			scope, err := at.scope(ctx, slot.Purpose, whose)
			if err != nil {
				return err
			}
			_, err = reveal(ctx, v, scope)
			return err
		}()
		slot.Verified = "authentic"
		if err != nil {
			r.Verified = false
			slot.Verified = "not verified: " + plain(err)
			if errors.Is(err, vault.ErrRetired) {
				slot.Verified += ". Its key is retired: see --store"
			}
		}
	}
	return r.Verified
}

func (r valueReport) write(w io.Writer, width int) {
	switch {
	case r.Verified:
		fmt.Fprintln(w, "verified")
	default:
		fmt.Fprintln(w, "claims, not verified")
	}
	var fields []term.Field
	add := func(name, format string, args ...any) {
		fields = append(fields, term.Field{Name: name, Text: fmt.Sprintf(format, args...)})
	}
	add("kind", "%s", r.Kind)
	add("bytes", "%d of text; id %d", r.Bytes.Text, r.Bytes.ID)
	for _, slot := range r.Slots {
		add("purpose", "%v", slot.Purpose)
		if slot.Verified != "" {
			add("  opened", "%s", slot.Verified)
		}
		add("  slot", "%s", slot.Type)
		if slot.Key != "" {
			add("  key", "%s", slot.Key)
		}
		if slot.KeyStatus != "" {
			add("  status", "%s", slot.KeyStatus)
		}
		add("  legal", "%v", slot.Legal)
		if slot.Notice != "" {
			add("  notice", "%s", slot.Notice)
		}
		if slot.Consent != "" {
			add("  consent", "%s", slot.Consent)
		}
		if !slot.From.IsZero() {
			add("  from", "%v", slot.From)
		}
		if !slot.Collected.IsZero() {
			stated := ""
			if slot.Stated {
				stated = ", as stated"
			}
			add("  collected", "%s%s", date(slot.Collected), stated)
		}
		if !slot.Expires.IsZero() {
			over := ""
			if slot.Expired {
				over = ": retention is over"
			}
			add("  expires", "%s%s", date(slot.Expires), over)
		}
		add("  bytes", "header %d, sealed %d", slot.Header, slot.Sealed)
	}
	term.Fields(w, width, fields...)
}

// date returns a time as the day, or to the second if it has one.
func date(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}
