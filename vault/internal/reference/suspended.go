package reference

import (
	"errors"
	"regexp"
	"unicode/utf8"
)

// Suspended is an element of the field "suspended" of a key record. Times are Unix
// seconds.
type Suspended struct {
	Notice  string   `json:"notice"`
	Actions []string `json:"actions"`
	Reason  string   `json:"reason"`
	Since   uint64   `json:"since"`
	Until   uint64   `json:"until,omitempty"`
}

var (
	noticeRE  = regexp.MustCompile(`\A[A-Za-z0-9._-]{0,64}\z`)
	actionsRE = regexp.MustCompile(`\A(seal )?(reveal )?(hint )?(index )?(extend )?\z`)
)

// reasonRE finds a character that a reason must not have.
var reasonRE = regexp.MustCompile(`[\x{0}-\x{1f}\x{7f}-\x{9f}\x{61c}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]`)

// checkSuspended refuses a list of suspensions that FORMAT.md does not allow.
func (p KeyPayload) checkSuspended() error {
	if p.Suspended != nil && len(p.Suspended) == 0 || len(p.Suspended) > 64 {
		return errors.New("an empty list of suspensions, or a long one")
	}
	for i, s := range p.Suspended {
		actions := ""
		for _, a := range s.Actions {
			actions += a + " "
		}
		switch {
		case !noticeRE.MatchString(s.Notice) || i > 0 && p.Suspended[i-1].Notice >= s.Notice:
			return errors.New("not a notice, or out of order")
		case actions == "" || !actionsRE.MatchString(actions):
			return errors.New("not a set of actions")
		case len(s.Reason) > 200 || !utf8.ValidString(s.Reason) || reasonRE.MatchString(s.Reason):
			return errors.New("not a reason")
		case s.Since > lastTime || s.Until > lastTime || s.Until != 0 && s.Until <= s.Since:
			return errors.New("no time")
		}
	}
	return nil
}
