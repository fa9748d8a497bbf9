package auditlog

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/onlyfor/onlyfor/purpose"
	"github.com/onlyfor/onlyfor/vault/audit"
)

// The kinds of entries, which are the field "entry" of each body.
const (
	// KindEvent is an event that the log was given as an [audit.Auditor].
	KindEvent = "event"
	// KindStart is the first entry of a process, and KindStop its last one.
	KindStart = "start"
	KindStop  = "stop"
	// KindCut says that a commit was found incomplete after a crash and was cut off. No
	// event of it was acknowledged.
	KindCut = "cut"
	// KindRefused says how many events were refused because they could not be written.
	KindRefused = "refused"
	// KindRemove says which bodies are removed under which rule.
	KindRemove = "remove"
	// KindWitnessed has the cosignatures on an earlier head.
	KindWitnessed = "witnessed"
)

// maxText is the size of the longest text in an entry, in bytes.
const maxText = 1024

// An object is a JSON object under construction, on one line.
type object []byte

func newObject(dst []byte, kind string, at time.Time) object {
	o := append(object(dst), '{')
	o = o.text("entry", kind)
	o = append(o.key("time"), '"')
	o = at.UTC().AppendFormat(o, time.RFC3339Nano)
	return append(o, '"')
}

// key appends the name of a field. Names are constants that need no escape.
func (o object) key(name string) object {
	if o[len(o)-1] != '{' {
		o = append(o, ',')
	}
	o = append(append(o, '"'), name...)
	return append(o, '"', ':')
}

// text appends a field with a text, if it is not empty.
func (o object) text(name, value string) object {
	if value == "" {
		return o
	}
	return appendText(o.key(name), value)
}

// number appends a field with a number, if it is not 0.
func (o object) number(name string, n int64) object {
	if n == 0 {
		return o
	}
	return strconv.AppendInt(o.key(name), n, 10)
}

// flag appends a field that is true, if it is.
func (o object) flag(name string, value bool) object {
	if !value {
		return o
	}
	return append(o.key(name), "true"...)
}

// purposes appends a field with a list of purposes, if it is not empty.
func (o object) purposes(name string, set purpose.Set) object {
	if set.Len() == 0 {
		return o
	}
	o = append(o.key(name), '[')
	for p := range set.All() {
		if o[len(o)-1] != '[' {
			o = append(o, ',')
		}
		o = appendText(o, p.String())
	}
	return append(o, ']')
}

// time appends a field with a time, if it is not the zero time.
func (o object) time(name string, t time.Time) object {
	if t.IsZero() {
		return o
	}
	o = append(o.key(name), '"')
	o = t.UTC().AppendFormat(o, time.RFC3339Nano)
	return append(o, '"')
}

func (o object) provenance(p *purpose.Provenance) object {
	if p.Legal != purpose.Unstated {
		o = o.text("legal", p.Legal.String())
	}
	o = o.text("notice", p.Notice)
	o = o.text("consent", p.Consent)
	o = o.time("collected-at", p.Collected)
	o = o.flag("stated", p.Stated)
	o = o.time("expires", p.Expires)
	if !p.From.IsZero() {
		o = o.text("first-purpose", p.From.String())
	}
	return o
}

func (o object) end() []byte { return append(o, '}') }

// appendText appends s as a JSON string of printable characters: escapes stand for all
// others, such as those that move a terminal's cursor or turn the direction of text. s is
// cut off after maxText bytes.
func appendText(dst object, s string) object { return appendBounded(dst, s, maxText) }

func appendBounded(dst object, s string, most int) object {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	if len(s) > most {
		n := most
		for n > most-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	if isPlain(s) {
		return append(append(dst, s...), '"')
	}
	for _, r := range s { // an invalid byte is U+FFFD
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == ' ' || unicode.IsPrint(r):
			dst = utf8.AppendRune(dst, r)
		case r > 0xffff:
			r -= 0x10000
			for _, half := range [...]rune{0xd800 + r>>10, 0xdc00 + r&0x3ff} {
				dst = append(dst, '\\', 'u', digits[half>>12], digits[half>>8&15], digits[half>>4&15], digits[half&15])
			}
		default:
			dst = append(dst, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
		}
	}
	return append(dst, '"')
}

// isPlain reports whether s has printable ASCII alone and needs no escape. Such texts are
// copied whole.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// witnessedBody returns the body of an entry about a head that was cosigned.
func witnessedBody(h Head, lines []string) []byte {
	o := newObject(nil, KindWitnessed, time.Now())
	o = o.number("size", h.Size).text("hash", h.Hash.String())
	o = append(o.key("cosignatures"), '[')
	for i, line := range lines {
		if i > 0 {
			o = append(o, ',')
		}
		o = appendBounded(o, line, maxCosignatures)
	}
	return append(o, ']').end()
}

// appendEvent appends the body of an event.
func appendEvent(dst []byte, e audit.Event) []byte {
	o := newObject(dst, KindEvent, e.Time)
	o = o.text("action", string(e.Action))
	o = o.text("outcome", string(e.Outcome))
	if !e.Purpose.IsZero() {
		o = o.text("purpose", e.Purpose.String())
	}
	if !e.To.IsZero() {
		o = o.text("to", e.To.String())
	}
	if !e.From.IsZero() {
		o = o.text("from", e.From.String())
	}
	o = o.text("role", e.Role)
	if e.KeyID != 0 {
		o = o.text("key", hex.EncodeToString(binary.BigEndian.AppendUint32(nil, e.KeyID)))
	}
	if e.Generation != 0 {
		o = strconv.AppendUint(o.key("generation"), e.Generation, 10)
	}
	o = o.text("digest", e.Digest)
	o = o.text("subject", e.Subject)
	o = o.purposes("collected", e.Collected)
	o = o.text("kind", e.Kind)
	o = o.text("value", e.Value)
	o = o.text("new-value", e.NewValue)
	o = o.provenance(&e.Provenance)
	o = o.text("reason", e.Reason)
	o = o.text("note", e.Note)
	o = o.number("count", int64(e.Count))
	o = o.number("unwraps", int64(e.Unwraps))
	o = o.text("root", e.Root)
	o = o.text("recipient", e.Recipient)
	o = o.text("operation", e.Operation)
	o = o.text("caller", e.Caller)
	if e.Err != nil {
		o = o.text("error", e.Err.Error())
	}
	return o.end()
}

const libraryPath = "github.com/onlyfor/onlyfor"

// startBody returns the body of a start: the program, its rights as far as it states
// them, and its predecessor.
func startBody(opts *Options, before predecessor) []byte {
	o := newObject(nil, KindStart, time.Now())
	o = o.text("service", opts.Service)
	host, _ := os.Hostname()
	o = o.text("host", host)
	o = o.number("process", int64(os.Getpid()))
	o = o.text("go", runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		o = o.text("program", info.Path)
		o = o.text("version", info.Main.Version)
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				o = o.text("revision", s.Value)
			case "vcs.modified":
				o = o.flag("modified", s.Value == "true")
			}
		}
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == libraryPath {
				o = o.text("library", m.Version)
			}
		}
	}
	o = o.purposes("granted", opts.Granted)
	o = o.purposes("shut", opts.Shut)
	if b := opts.Buffered; b != nil {
		o = append(o.key("buffered"), '{')
		o = o.number("events", int64(b.Events))
		o = o.text("delay", b.Delay.String())
		o = append(o, '}')
	}
	if before.head.Size > 0 {
		o = append(o.key("predecessor"), '{')
		o = o.number("size", before.head.Size)
		o = o.text("hash", before.head.Hash.String())
		o = append(o.key("stopped"), strconv.FormatBool(before.stopped)...)
		o = append(o, '}')
	}
	return o.end()
}
