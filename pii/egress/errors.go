package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// The errors of this package are one sentinel for each decision of a caller. A value that
// can't be revealed is one of the errors of package vault, such as
// [purpose.ErrMismatch]. No error holds a value, a part of one or text of a response.
var (
	// ErrRules reports rules or a base transport that [NewTransport] refuses.
	ErrRules = errors.New("not valid rules")
	// ErrNoRule reports a request to a host, or with a method or a path, that no rule has.
	ErrNoRule = errors.New("no rule for this request")
	// ErrInsecure reports a URL that is not https.
	ErrInsecure = errors.New("not an https URL")
	// ErrRedirect reports a request that follows a redirect from another host.
	ErrRedirect = errors.New("redirected from another host")
	// ErrUndeclared reports a sealed value outside the declared fields.
	ErrUndeclared = errors.New("sealed value outside the declared fields")
	// ErrNotSealed reports a declared field that is not exactly one sealed value.
	ErrNotSealed = errors.New("declared field is not one sealed value")
	// ErrKind reports a sealed value of another kind than the field takes.
	ErrKind = errors.New("sealed value of another kind")
	// ErrBody reports a body that is malformed or ambiguous, or has another content type than
	// the rule declares.
	ErrBody = errors.New("not a valid body for the rule")
	// ErrMessage reports a [Mail] that is malformed, or that a mail server would read in
	// another way.
	ErrMessage = errors.New("not a valid message")
	// ErrNoTLS reports a mail server that does not change to TLS. It may be an attacker who
	// took the offer out of its answer.
	ErrNoTLS = errors.New("mail server offers no TLS")
	// ErrRefused is the class of [RefusedError] and [RecipientsError].
	ErrRefused = errors.New("refused by the mail server")
	// ErrTooLarge reports a body that is larger than [Rule.MaxBody], or a message that is
	// larger than [Relay.MaxMessage] or than its server takes.
	ErrTooLarge = errors.New("body is too large")
	// ErrSend reports that the connection failed. The gateway may have got the request. The
	// error is also [context.Canceled], [context.DeadlineExceeded] or the number of a system
	// error where that was the cause, and nothing else of the cause is repeated.
	ErrSend = errors.New("sending failed")
	// ErrResponse reports a response in an encoding in which an echoed plaintext could not be
	// found. The gateway has got the request.
	ErrResponse = errors.New("response is in an unknown encoding")
)

// A sendError stands for an error of package net/http or net/smtp, which may quote the peer.
type sendError struct {
	text    string
	class   error // nil or a constant error
	timeout bool
}

func (e *sendError) Error() string { return "egress: sending failed: " + e.text }

// Is reports whether target is [ErrSend] or the class of the error.
func (e *sendError) Is(target error) bool {
	return target == ErrSend || e.class != nil && target == e.class
}

// Timeout reports whether the time for the request was up. Package net/http asks for it.
func (e *sendError) Timeout() bool { return e.timeout }

// classes are the errors that a caller may tell apart, with a text of our own.
var classes = []struct {
	err  error
	text string
}{
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "time is up"},
	{os.ErrDeadlineExceeded, "time is up"},
	{syscall.ECONNREFUSED, "connection refused"},
	{syscall.ECONNRESET, "connection reset"},
	{syscall.EPIPE, "connection closed"},
	{net.ErrClosed, "connection closed"},
	{io.ErrUnexpectedEOF, "connection ended too early"},
	{io.EOF, "connection ended too early"},
}

// sendErr returns the error that stands for an error of package net/http or net/smtp.
func sendErr(err error) error {
	e := &sendError{text: "connection or response is broken"}
	var timeout interface{ Timeout() bool }
	e.timeout = errors.As(err, &timeout) && timeout.Timeout()
	for _, c := range classes {
		if errors.Is(err, c.err) {
			e.text, e.class = c.text, c.err
			return e
		}
	}
	var dial *net.OpError
	switch {
	case e.timeout:
		e.text = "time is up"
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		e.text = "certificate of the host is not valid"
	case errors.As(err, new(*net.DNSError)):
		e.text = "host name was not found"
	case errors.As(err, &dial) && dial.Op == "dial":
		e.text = "no connection"
	}
	return e
}

func bodyErr(fact string) error { return fmt.Errorf("%s: %w", fact, ErrBody) }
