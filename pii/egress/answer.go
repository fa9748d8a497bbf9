package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"strings"
)

// An Answer is an answer of a mail server.
type Answer struct {
	// Code is the code of RFC 5321, section 4.2, such as 550.
	Code int
	// Status is the code of RFC 3463, such as "5.1.1", "" if the answer has none.
	Status string
	// Text is the rest of the answer in ASCII, one line for each line of it. Addresses of the
	// mail are sealed texts. Text is "" if the answer has a part of an address, such as its
	// domain or a word of three letters, and for the answer to a login.
	Text string
}

// Temporary reports whether the server asks for another try at a later time.
func (a Answer) Temporary() bool { return a.Code/100 == 4 }

// String returns the codes, such as "550 5.1.1".
func (a Answer) String() string {
	return strings.TrimSuffix(strconv.Itoa(a.Code)+" "+a.Status, " ")
}

// A RefusedError reports that the server refused the mail for all recipients. It is
// [ErrRefused].
type RefusedError struct {
	// Command is the command that was refused, such as "MAIL", or "connection" or "message".
	Command string
	Answer  Answer
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.Command, e.Answer, ErrRefused)
}

// Unwrap returns [ErrRefused].
func (e *RefusedError) Unwrap() error { return ErrRefused }

// A RecipientsError reports that the server refused the mail for some of its recipients. It
// is [ErrRefused].
type RecipientsError struct {
	// Refused are the recipients that don't get the mail, in the order of [Mail.To].
	Refused []RefusedRecipient
	// Taken is the number of recipients that the server has taken the mail for.
	Taken int
}

// A RefusedRecipient is a recipient that the server refused.
type RefusedRecipient struct {
	// Index is the position in [Mail.To].
	Index  int
	Answer Answer
}

func (e *RecipientsError) Error() string {
	text := fmt.Sprintf("%d of %d recipients", len(e.Refused), len(e.Refused)+e.Taken)
	if len(e.Refused) > 0 {
		text += ", the first with " + e.Refused[0].Answer.String()
	}
	return text + ": " + ErrRefused.Error()
}

// Unwrap returns [ErrRefused].
func (e *RecipientsError) Unwrap() error { return ErrRefused }

const (
	// maxAnswerLines and maxAnswer bound one answer: its lines, and its text in bytes.
	maxAnswerLines = 100
	maxAnswer      = 16 << 10
)

var errAnswer error = &sendError{text: "answer of the mail server is not valid"}

// readAnswer reads one answer. It overwrites the buffer of r: the server may have echoed an
// address.
func readAnswer(r *bufio.Reader, opened *shared) (Answer, error) {
	var a Answer
	text := make([]byte, 0, 512)
	defer func() { clear(text[:cap(text)]) }()
	for range maxAnswerLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			clear(line)
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errAnswer
			}
			return Answer{}, err
		}
		code, rest, more, ok := cutAnswer(line)
		if !ok || a.Code != 0 && code != a.Code || len(text)+len(rest) >= maxAnswer {
			clear(line)
			return Answer{}, errAnswer
		}
		a.Code = code
		if len(text) > 0 {
			text = appendByte(text, '\n')
		}
		for _, c := range rest {
			text = appendByte(text, c)
		}
		clear(line)
		if !more {
			a.Status, a.Text = showAnswer(text, code, opened)
			return a, nil
		}
	}
	return Answer{}, errAnswer
}

// appendByte is append, but for the old array: it is overwritten.
func appendByte(b []byte, c byte) []byte {
	if len(b) < cap(b) {
		return append(b, c)
	}
	bigger := append(make([]byte, 0, 2*cap(b)), b...)
	clear(b)
	return append(bigger, c)
}

// cutAnswer returns the parts of a line such as "550-5.1.1 Unknown".
func cutAnswer(line []byte) (code int, rest []byte, more, ok bool) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) < 3 {
		return 0, nil, false, false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, nil, false, false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, nil, false, false
	}
	if len(line) == 3 {
		return code, nil, false, true
	}
	return code, line[4:], line[3] == '-', line[3] == '-' || line[3] == ' '
}

// showAnswer returns the status and the text of an answer without plaintext. It
// overwrites the text.
func showAnswer(text []byte, code int, opened *shared) (status, shown string) {
	status = enhancedStatus(text, code)
	if opened != nil {
		var found bool
		if text, found = hideAddresses(text, opened); !found {
			return status, ""
		}
	}
	var lines []string
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if status != "" {
			line, _ = bytes.CutPrefix(line, []byte(status))
		}
		lines = append(lines, string(bytes.Map(printableASCII, bytes.TrimSpace(line))))
	}
	return status, strings.Join(lines, "\n")
}

func printableASCII(r rune) rune {
	if r < ' ' || r >= 0x7f {
		return '?'
	}
	return r
}

// enhancedStatus returns the code of RFC 3463 that begins a text.
func enhancedStatus(text []byte, code int) string {
	end := bytes.IndexAny(text, " \n")
	if end < 0 {
		end = len(text)
	}
	parts := strings.Split(string(text[:min(end, len("5.999.999"))]), ".")
	if end > len("5.999.999") || len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return ""
	}
	for _, p := range parts {
		if len(p) > 3 || p == "" || !onlyDigits([]byte(p)) {
			return ""
		}
	}
	return strings.Join(parts, ".")
}

// minWord is the size of the shortest word of an address that is taken for a part of it. A
// shorter one is in many texts.
const minWord = 3

// isMark reports whether r separates the words of an address.
func isMark(r rune) bool { return strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) }

// hideAddresses returns text with sealed texts in place of addresses. It reports false if a
// part of an address would remain, as in "alice: no such user".
func hideAddresses(text []byte, opened *shared) (hidden []byte, ok bool) {
	var parts echoes
	for _, e := range opened.echoes.all {
		local, domain, _ := bytes.Cut(e.plain, []byte("@"))
		parts.addForm(domain, nil)
		base, _, _ := bytes.Cut(local, []byte("+")) // servers drop tags
		parts.addForm(base, nil)
		for word := range bytes.FieldsFuncSeq(local, isMark) {
			if len(word) >= minWord {
				parts.addForm(word, nil)
			}
		}
	}
	rest := make([]byte, 0, len(text)) // between the addresses, without blanks
	defer func() { clear(rest[:cap(rest)]) }()
	for b := text; len(b) > 0; {
		before, size, sealed := opened.echoes.next(b, true)
		hidden = append(append(hidden, b[:before]...), sealed...)
		for _, c := range b[:before] {
			if c > ' ' {
				rest = append(rest, c)
			}
		}
		if size > 0 {
			rest = append(rest, 0)
		}
		b = b[before+size:]
	}
	if _, size, _ := parts.next(rest, true); size > 0 {
		clear(hidden)
		return nil, false
	}
	return hidden, true
}

// commandErr returns the error for an error of package net/smtp, before any address was
// revealed.
func commandErr(command string, err error) error {
	var refused *textproto.Error
	if errors.As(err, &refused) {
		if refused.Code < 400 || refused.Code > 599 {
			return errAnswer
		}
		a := Answer{Code: refused.Code}
		text := []byte(refused.Msg)
		if len(text) > maxAnswer {
			text = text[:maxAnswer]
		}
		if a.Status, a.Text = showAnswer(text, a.Code, nil); command == "AUTH" {
			a.Text = "" // it may quote the password
		}
		return &RefusedError{Command: command, Answer: a}
	}
	var broken textproto.ProtocolError
	if errors.As(err, &broken) {
		return errAnswer
	}
	return sendErr(err)
}
