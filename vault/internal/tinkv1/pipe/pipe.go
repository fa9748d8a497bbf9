// Package pipe lets one process lend another an AEAD. Each question is a line of JSON,
// and so is each answer.
package pipe

import (
	"encoding/json"
	"errors"
	"io"
	"sync"
)

// A Question asks the other process to encrypt or decrypt Data.
type Question struct {
	Decrypt        bool
	Data           []byte
	AssociatedData []byte
}

// An Answer has the result of a [Question].
type Answer struct {
	Data    []byte
	Refused bool
}

// An AEAD is a vault.AEAD that asks the process at the other end.
type AEAD struct {
	mu  sync.Mutex
	enc *json.Encoder
	dec *json.Decoder
}

// New returns the AEAD of a process that reads questions from w and writes answers
// to r.
func New(r io.Reader, w io.Writer) *AEAD {
	return &AEAD{enc: json.NewEncoder(w), dec: json.NewDecoder(r)}
}

// Encrypt has the other process encrypt.
func (a *AEAD) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	return a.ask(Question{false, plaintext, associatedData})
}

// Decrypt has the other process decrypt.
func (a *AEAD) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	return a.ask(Question{true, ciphertext, associatedData})
}

func (a *AEAD) ask(q Question) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.enc.Encode(q); err != nil {
		return nil, errors.New("other process does not listen")
	}
	var answer Answer
	if err := a.dec.Decode(&answer); err != nil {
		return nil, errors.New("other process does not answer")
	}
	if answer.Refused {
		return nil, errors.New("refused")
	}
	return answer.Data, nil
}
