package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A checked is the second floor: a program by hand that keeps the library's promises for a
// value of one purpose, in straight code over the standard library. Beyond the first floor it
// may be used from many goroutines, and asks for each value whether the context is done, the
// keys are still granted, the use is suspended and an auditor wants an event. It compares kind
// and purpose, accepts one spelling of a text and of a header, checks addresses, counts, and
// clears plaintexts. It has no error texts, no rotation, no notices, no second purpose, no
// budget and no way to ask the store or the key service again. The distance between this floor
// and the library is code; the distance between the two floors is promises.
type checked struct {
	kind, purpose string
	keys          atomic.Pointer[checkedKeys] // nil once closed
	until         atomic.Int64                // when the store or the key service has to be asked
	clock         atomic.Pointer[checkedTime]
	auditor       func() error
	people        sync.Map    // of the id of a person to a *checkedPerson
	erasures      atomic.Bool // somebody was erased
	pool          sync.Pool

	sealed, seals, reveals, indexes checkedCount
}

type checkedKeys struct {
	prefix    [5]byte
	gcm       cipher.AEAD
	cmac      cipher.Block
	k1, k2    [aes.BlockSize]byte
	hide      cipher.Block // of indexes in memory
	suspended bool
	collector hpke.PrivateKey
	batch     atomic.Pointer[checkedBatch]
}

// A checkedBatch is the opened slot key of the last batch.
type checkedBatch struct {
	wrapped []byte
	gcm     cipher.AEAD
}

type checkedPerson struct {
	gcm     cipher.AEAD
	expires int64
}

// A checkedTime is a reading of the clock, which is used for 10 ms.
type checkedTime struct{ at, day int64 }

// A checkedCount has a cache line of its own.
type checkedCount struct {
	atomic.Uint64
	_ [56]byte
}

// A checkedScratch is the memory of one operation.
type checkedScratch struct {
	plain [64]byte
	aad   [512]byte
	body  [1536]byte
	text  [512]byte
	mac   [aes.BlockSize]byte
	id    *mathrand.ChaCha8
}

var errChecked = errors.New("refused")

// newChecked returns the program with keys of its own, which are derived from one secret: a
// key for each person too. The collector's private key may be nil.
func newChecked(people []string, collector hpke.PrivateKey) (*checked, error) {
	secret := make([]byte, 32)
	rand.Read(secret)
	derive := func(info string) (cipher.Block, error) {
		key, err := hkdf.Key(sha256.New, secret, nil, info, 32)
		if err != nil {
			return nil, err
		}
		return aes.NewCipher(key)
	}
	k := &checkedKeys{prefix: [5]byte{1, 0, 0, 0, 1}, collector: collector}
	block, err := derive("seal")
	if err != nil {
		return nil, err
	}
	if k.gcm, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	if k.cmac, err = derive("index"); err != nil {
		return nil, err
	}
	if k.hide, err = derive("hide"); err != nil {
		return nil, err
	}
	k.cmac.Encrypt(k.k1[:], k.k1[:])
	for _, key := range []*[aes.BlockSize]byte{&k.k1, &k.k2} {
		high, low := binary.BigEndian.Uint64(k.k1[:8]), binary.BigEndian.Uint64(k.k1[8:])
		binary.BigEndian.PutUint64(key[:8], high<<1|low>>63)
		binary.BigEndian.PutUint64(key[8:], low<<1^high>>63*0x87)
	}
	c := &checked{kind: "email", purpose: "security"}
	c.pool.New = func() any {
		var seed [32]byte
		rand.Read(seed[:])
		return &checkedScratch{id: mathrand.NewChaCha8(seed)}
	}
	c.keys.Store(k)
	c.until.Store(time.Now().Add(24 * time.Hour).UnixNano())
	for _, id := range people {
		block, err := derive("person " + id)
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		c.people.Store(id, &checkedPerson{gcm, c.until.Load()})
	}
	return c, nil
}

// usable returns the keys, if they may be used now.
func (c *checked) usable(ctx context.Context) (*checkedKeys, *checkedTime, error) {
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	now := c.clock.Load()
	if now == nil {
		t := time.Now()
		now = &checkedTime{t.UnixNano(), t.Unix() - t.Unix()%(24*60*60)}
		if c.clock.Swap(now) == nil {
			time.AfterFunc(10*time.Millisecond, func() { c.clock.Store(nil) })
		}
	}
	k := c.keys.Load()
	if k == nil || now.at >= c.until.Load() || k.suspended {
		return nil, nil, errChecked
	}
	return k, now, nil
}

// done counts an operation, and asks the auditor.
func (c *checked) done(count *checkedCount) error {
	count.Add(1)
	if c.auditor != nil {
		return c.auditor()
	}
	return nil
}

// release clears plaintexts.
func (c *checked) release(s *checkedScratch) {
	clear(s.plain[:])
	c.pool.Put(s)
}

// person returns the key of a person who is not erased.
func (c *checked) person(id string, now *checkedTime) (cipher.AEAD, error) {
	if id == "" || len(id) > 255 || id == "0" {
		return nil, errChecked
	}
	found, _ := c.people.Load(id)
	p, _ := found.(*checkedPerson)
	if p == nil || now.at >= p.expires || c.erasures.Load() {
		return nil, errChecked
	}
	return p.gcm, nil
}

func (c *checked) bind(s *checkedScratch, id, header []byte, person string) []byte {
	aad := append(append(s.aad[:0], "pii1"...), byte(len(c.kind)))
	aad = append(append(aad, c.kind...), byte(len(c.purpose)))
	aad = append(append(append(aad, c.purpose...), id...), header...)
	return append(append(aad, byte(len(person)>>8), byte(len(person))), person...)
}

// seal returns the text of an address of up to 31 bytes. The person may be "". The address is
// checked if typed is set.
func (c *checked) seal(ctx context.Context, address, person string, typed bool) (string, error) {
	if typed && !validAddress(address) {
		return "", errChecked
	}
	k, now, err := c.usable(ctx)
	if err != nil {
		return "", err
	}
	s := c.pool.Get().(*checkedScratch)
	defer c.release(s)
	text, err := c.sealIn(s, k, now, now.day, address, person)
	if err != nil {
		return "", err
	}
	return text, c.done(&c.seals)
}

func (c *checked) sealIn(s *checkedScratch, k *checkedKeys, now *checkedTime, day int64, address, person string) (string, error) {
	if address == "" || len(address) >= floorStep || day < 0 || day > 253402300799 {
		return "", errChecked
	}
	body := binary.LittleEndian.AppendUint64(s.body[:0], s.id.Uint64())
	body = binary.LittleEndian.AppendUint64(body, s.id.Uint64())
	typ, size, gcm := byte(1), floorSealed, k.gcm
	if person != "" {
		var err error
		if gcm, err = c.person(person, now); err != nil {
			return "", err
		}
		typ, size = 2, floorSealed-len(floorPrefix)
	}
	body = append(body, typ, 0, byte(day>>32), byte(day>>24), byte(day>>16), byte(day>>8), byte(day))
	aad := c.bind(s, body[:floorID], body[floorID:], person)
	body = append(body, byte(size>>8), byte(size))
	n := copy(s.plain[:], address)
	s.plain[n] = 0x80
	clear(s.plain[n+1 : floorStep])
	if person == "" {
		c.sealed.Add(1)
		body = append(body, k.prefix[:]...)
	}
	body = gcm.Seal(body, nil, s.plain[:floorStep], aad)
	text := append(append(append(s.text[:0], "pii1."...), c.kind...), '.')
	text = append(append(text, c.purpose...), '.')
	return string(appendGroups(text, body)), nil
}

// reveal returns the address of a text that seal returned for the person.
func (c *checked) reveal(ctx context.Context, text, person string) (string, error) {
	k, now, err := c.usable(ctx)
	if err != nil {
		return "", err
	}
	s := c.pool.Get().(*checkedScratch)
	defer c.release(s)
	address, _, err := c.open(s, k, now, text, person)
	if err != nil {
		return "", err
	}
	if err := c.done(&c.reveals); err != nil {
		return "", err
	}
	if !validAddress(address) {
		return "", errChecked
	}
	return address, nil
}

// open returns the plaintext of a text, and the time of its collection.
func (c *checked) open(s *checkedScratch, k *checkedKeys, now *checkedTime, text, person string) (string, int64, error) {
	head := len("pii1.") + len(c.kind) + 1 + len(c.purpose) + 1
	if len(text) < head || text[:5] != "pii1." || text[5:5+len(c.kind)] != c.kind || text[5+len(c.kind)] != '.' ||
		text[6+len(c.kind):head-1] != c.purpose || text[head-1] != '.' {
		return "", 0, errChecked
	}
	body, ok := decodeGroups(s.body[:], text[head:])
	if !ok || len(body) < floorID+len(floorFront) {
		return "", 0, errChecked
	}
	header, sealed := body[floorID:floorID+len(floorHeader)], body[floorID+len(floorFront):]
	seconds := int64(binary.BigEndian.Uint32(header[2:]))<<8 | int64(header[6])
	size := int(binary.BigEndian.Uint16(body[floorID+len(floorHeader):]))
	if header[1] != 0 || seconds > 253402300799 || size != len(sealed) {
		return "", 0, errChecked
	}
	gcm, wrapped := k.gcm, 0
	switch header[0] {
	case 1:
		if person != "" || !bytes.HasPrefix(sealed, k.prefix[:]) {
			return "", 0, errChecked
		}
		wrapped = len(k.prefix)
	case 2:
		if gcm, ok = nil, person != ""; !ok {
			return "", 0, errChecked
		}
		var err error
		if gcm, err = c.person(person, now); err != nil {
			return "", 0, err
		}
	case 3, 4:
		if wrapped = 5 + 32 + 48; header[0] == 4 {
			wrapped = 5 + 1120 + 48
		}
		if person != "" || len(sealed) < wrapped || !bytes.HasPrefix(sealed, k.prefix[:]) {
			return "", 0, errChecked
		}
		var err error
		if gcm, err = c.unwrap(k, sealed[:wrapped]); err != nil {
			return "", 0, err
		}
	default:
		return "", 0, errChecked
	}
	if len(sealed) != wrapped+12+floorStep+16 {
		return "", 0, errChecked
	}
	plain, err := gcm.Open(s.plain[:0], nil, sealed[wrapped:], c.bind(s, body[:floorID], header, person))
	if err != nil || person != "" && c.erasures.Load() {
		return "", 0, errChecked
	}
	n := len(plain) - 1
	for n > 0 && plain[n] == 0 {
		n--
	}
	if n == 0 || plain[n] != 0x80 {
		return "", 0, errChecked
	}
	return string(plain[:n]), seconds, nil
}

// unwrap returns the slot key of a batch. The key of the last batch is open.
func (c *checked) unwrap(k *checkedKeys, wrapped []byte) (cipher.AEAD, error) {
	if b := k.batch.Load(); b != nil && bytes.Equal(b.wrapped, wrapped) {
		return b.gcm, nil
	}
	if k.collector == nil {
		return nil, errChecked
	}
	dek, err := hpke.Open(k.collector, hpke.HKDFSHA256(), hpke.AES256GCM(), append([]byte{'c', 'o', 'l', '1', byte(len(c.purpose))}, c.purpose...), wrapped[5:])
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(dek)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err == nil {
		k.batch.Store(&checkedBatch{slices.Clone(wrapped), gcm})
	}
	return gcm, err
}

// takeIn returns a collector's value, sealed under the key of the purpose.
func (c *checked) takeIn(ctx context.Context, text string) (string, error) {
	k, now, err := c.usable(ctx)
	if err != nil {
		return "", err
	}
	s := c.pool.Get().(*checkedScratch)
	defer c.release(s)
	address, day, err := c.open(s, k, now, text, "")
	if err != nil {
		return "", err
	}
	taken, err := c.sealIn(s, k, now, day, address, "")
	if err != nil {
		return "", err
	}
	if err := c.done(&c.seals); err != nil {
		return "", err
	}
	if !validAddress(address) {
		return "", errChecked
	}
	return taken, nil
}

// index returns the blind index of an address without capitals, as it stays in memory.
func (c *checked) index(ctx context.Context, address string) (hidden [aes.BlockSize]byte, err error) {
	if !validAddress(address) {
		return hidden, errChecked
	}
	k, _, err := c.usable(ctx)
	if err != nil {
		return hidden, err
	}
	s := c.pool.Get().(*checkedScratch)
	defer c.release(s)
	input := append(append(append(s.aad[:0], "idx1"...), byte(len(c.kind))), c.kind...)
	input = append(append(append(input, byte(len(c.purpose))), c.purpose...), address...)
	defer clear(input)
	x := s.mac[:]
	clear(x)
	for len(input) > aes.BlockSize {
		subtle.XORBytes(x, x, input[:aes.BlockSize])
		k.cmac.Encrypt(x, x)
		input = input[aes.BlockSize:]
	}
	subtle.XORBytes(x, x, input)
	if len(input) == aes.BlockSize {
		subtle.XORBytes(x, x, k.k1[:])
	} else {
		x[len(input)] ^= 0x80
		subtle.XORBytes(x, x, k.k2[:])
	}
	k.cmac.Encrypt(x, x)
	k.hide.Encrypt(x, x)
	hidden = s.mac
	clear(x)
	return hidden, c.done(&c.indexes)
}
