package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/onlyfor/onlyfor/vault"
	"github.com/onlyfor/onlyfor/vault/internal/vaulttest"
)

// quoted is in everything that a faulty store, key service or auditor says.
const quoted = "sEcReT"

var (
	ofKEK   = []string{kekFor, kekMake, kekEncrypt, kekDecrypt, kekProbe}
	ofStore = []string{storeGet, storePut, storeList}
	ofAll   = slices.Concat(ofKEK, ofStore)

	isDown    = []error{vault.ErrUnavailable}
	isRefused = []error{vault.ErrNoKeys}
)

// quoting is an error that repeats what was asked, as clients do.
func quoting(c call, err error) error {
	if err == nil {
		return fmt.Errorf("%s %x %q", quoted, c.secret, c.secret)
	}
	return fmt.Errorf("%s %x %q: %w", quoted, c.secret, c.secret, err)
}

// nowhere is an AEAD that there is none of: a pointer that is nil in an interface
// that is not.
type nowhere struct{ aead vault.AEAD }

func (n *nowhere) Encrypt(plaintext, aad []byte) ([]byte, error) {
	return n.aead.Encrypt(plaintext, aad)
}
func (n *nowhere) Decrypt(ciphertext, aad []byte) ([]byte, error) {
	return n.aead.Decrypt(ciphertext, aad)
}

// answering makes a fault of what an answer is replaced by.
func answering[T any](f func(T) T) func(call) (any, error) {
	return func(c call) (any, error) {
		out, err := c.answer()
		if typed, ok := out.(T); ok && err == nil {
			c.wrong()
			return f(typed), nil
		}
		return out, err
	}
}

// records makes a fault of what becomes of each record that is found.
func records(f func(vault.Record) []vault.Record) func(call) (any, error) {
	return func(c call) (any, error) {
		out, err := c.answer()
		var changed []vault.Record
		found, _ := out.([]vault.Record)
		for _, r := range found {
			c.wrong()
			changed = append(changed, f(r)...)
		}
		pause()
		return changed, err
	}
}

func data(f func([]byte) []byte) func(call) (any, error) {
	return records(func(r vault.Record) []vault.Record {
		r.Data = f(r.Data)
		return []vault.Record{r}
	})
}

func failing(f func(c call) error) func(call) (any, error) {
	return func(c call) (any, error) { return nil, f(c) }
}

// faultsOf returns all faults there are, for the records of b.
func faultsOf(t testing.TB, b *faultBase) []fault {
	wrongKey := vaulttest.NewAEAD(t)
	malformed := []error{vault.ErrCorrupt, vault.ErrNoKeys, vault.ErrUnavailable}
	older := []error{vault.ErrCorrupt, vault.ErrConflict, vault.ErrUnavailable, vault.ErrNoKeys, vault.ErrInvalid}
	return []fault{
		// What both of them do.
		{name: "hangs", of: ofAll, want: isDown, hangs: true, do: failing(func(c call) error {
			<-c.ctx.Done()
			return quoting(c, c.ctx.Err())
		})},
		{name: "hangs whatever its context says", of: ofAll, want: isDown, hangs: true, do: func(c call) (any, error) {
			c.released()
			return c.answer()
		}},
		{name: "is slow", of: ofAll, do: func(c call) (any, error) {
			select {
			case <-time.After(time.Second):
				return c.answer()
			case <-c.ctx.Done():
				return nil, c.ctx.Err()
			}
		}},
		{name: "denies", of: ofAll, want: isRefused, do: failing(func(call) error { return vaulttest.Denial(true) })},
		{name: "throttles", of: ofAll, want: isDown, do: failing(func(call) error { return vault.ErrUnavailable })},
		{name: "fails, and quotes what it was given (KEK)", of: ofKEK, want: isRefused, do: failing(func(c call) error { return quoting(c, nil) })},
		{name: "fails, and quotes what it was given (store)", of: ofStore, want: isDown, do: failing(func(c call) error { return quoting(c, nil) })},
		{name: "says that its own time was up", of: ofAll, want: isDown, do: failing(func(c call) error { return quoting(c, context.DeadlineExceeded) })},
		{name: "says what is not its to say (KEK)", of: ofKEK, want: isRefused, do: failing(func(c call) error { return quoting(c, vault.ErrErased) })},
		{name: "says what is not its to say (store)", of: ofStore, want: isDown, do: failing(func(c call) error { return quoting(c, vault.ErrErased) })},
		{name: "panics", of: ofAll, want: isDown, breaks: true, do: failing(func(c call) error { panic(quoting(c, nil)) })},
		{name: "ends its goroutine", of: ofAll, want: isDown, breaks: true, do: failing(func(call) error { runtime.Goexit(); return nil })},
		{name: "loses its answer", of: ofAll, want: isDown, do: func(c call) (any, error) {
			if _, err := c.answer(); err != nil {
				return nil, err
			}
			c.wrong()
			return nil, vault.ErrUnavailable
		}},
		{name: "says that others were first (KEK)", of: ofKEK, want: []error{vault.ErrConflict}, do: failing(func(call) error { return vault.ErrConflict })},

		// What is over at once: no later call fails in the place of the one that did.
		{name: "fails once (store)", of: ofStore, once: true, want: isDown, do: failing(func(c call) error { return quoting(c, nil) })},
		{name: "fails once (KEK)", of: ofKEK, once: true, want: isRefused, do: failing(func(c call) error { return quoting(c, nil) })},

		// What a key service answers.
		{name: "answers garbage", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func([]byte) []byte { return bytes.Repeat([]byte{0x5a}, 32) })},
		{name: "answers nothing", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func([]byte) []byte { return nil })},
		{name: "answers half", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func(b []byte) []byte { return b[:len(b)/2] })},
		{name: "answers more", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func(b []byte) []byte { return append(slices.Clone(b), 0) })},
		{name: "answers a megabyte", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func(b []byte) []byte { return bytes.Repeat(b, 1<<20/len(b)) })},
		{name: "answers with another key", of: []string{kekEncrypt, kekDecrypt}, want: malformed,
			do: answering(func(b []byte) []byte {
				out, err := wrongKey.Encrypt(b, nil)
				if err != nil {
					panic(err)
				}
				return out[:len(b)]
			})},
		{name: "has a nil AEAD", of: []string{kekFor}, want: isRefused,
			do: failing(func(c call) error { c.wrong(); return nil })},
		{name: "has a nil AEAD of some type", of: []string{kekFor}, want: isDown,
			do: answering(func(vault.AEAD) vault.AEAD { return (*nowhere)(nil) })},
		{name: "changes what it was given", of: []string{kekEncrypt, kekDecrypt}, do: func(c call) (any, error) {
			out, err := c.answer()
			clear(c.secret)
			return out, err
		}},

		// What a store answers.
		{name: "has garbage", of: []string{storeGet}, want: malformed, do: data(func(b []byte) []byte {
			out := slices.Clone(b)
			for i := range out {
				out[i] ^= 0x5a
			}
			return out
		})},
		{name: "has half", of: []string{storeGet}, want: malformed, do: data(func(b []byte) []byte { return b[:len(b)/2] })},
		{name: "has a byte less", of: []string{storeGet}, want: malformed, do: data(func(b []byte) []byte { return b[:len(b)-1] })},
		{name: "has too much", of: []string{storeGet}, want: malformed,
			do: data(func(b []byte) []byte { return append(slices.Clone(b), make([]byte, vault.MaxRecord)...) })},
		{name: "has nothing in it", of: []string{storeGet}, want: malformed, do: data(func([]byte) []byte { return []byte{} })},
		{name: "has another's", of: []string{storeGet}, want: malformed, do: records(func(r vault.Record) []vault.Record {
			r.Data = b.others[r.Name]
			return []vault.Record{r}
		})},
		{name: "has them twice", of: []string{storeGet}, do: records(func(r vault.Record) []vault.Record {
			return []vault.Record{r, r}
		})},
		{name: "has more than was asked for", of: []string{storeGet}, do: func(c call) (any, error) {
			out, err := c.answer()
			found, _ := out.([]vault.Record)
			for name, data := range b.others {
				found = append(found, vault.Record{Name: name + "-0", Data: data, Revision: 1})
			}
			return found, err
		}},
		{name: "has them in disorder", of: []string{storeGet}, do: answering(func(r []vault.Record) []vault.Record {
			slices.Reverse(r)
			return r
		})},
		{name: "lacks them", of: []string{storeGet}, want: malformed, orNot: true,
			do: records(func(vault.Record) []vault.Record { return nil })},
		{name: "has them under revision 0", of: []string{storeGet}, want: malformed, orNot: true,
			do: records(func(r vault.Record) []vault.Record { r.Revision = 0; return []vault.Record{r} })},
		{name: "has them under a revision below 0", of: []string{storeGet}, want: malformed,
			do: records(func(r vault.Record) []vault.Record { r.Revision = -r.Revision; return []vault.Record{r} })},
		{name: "has what was there before", of: []string{storeGet}, want: older, orNot: true,
			do: records(func(r vault.Record) []vault.Record { return b.older(r) })},
		{name: "always has another writer", of: []string{storePut}, want: []error{vault.ErrConflict, vault.ErrUnavailable}, do: failing(func(call) error {
			pause()
			return vault.ErrConflict
		})},
		{name: "numbers what it wrote 0", of: []string{storePut}, do: answering(func(int64) int64 { return 0 })},
		{name: "numbers what it wrote below 0", of: []string{storePut}, do: answering(func(int64) int64 { return -1 })},
		{name: "lists what is no name", of: []string{storeList}, want: malformed, orNot: true,
			do: answering(func([]string) []string { return []string{"../" + quoted} })},
		{name: "lists another purpose's", of: []string{storeList}, want: malformed, orNot: true,
			do: answering(func([]string) []string { return []string{b.strange} })},
		{name: "lists backwards", of: []string{storeList}, want: malformed, orNot: true, do: answering(func(names []string) []string {
			slices.Reverse(names)
			return names
		})},
		{name: "lists the same, again and again", of: []string{storeList}, want: malformed, do: func(c call) (any, error) {
			c.wrong()
			pause()
			return slices.Repeat(b.subjects, 1000), nil
		}},
		{name: "lists all there is, again and again", of: []string{storeList}, want: malformed, do: func(c call) (any, error) {
			c.wrong()
			pause()
			return b.names, nil
		}},
	}
}

// oneOf reports whether err is one of the sentinels.
func oneOf(err error, sentinels []error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}
