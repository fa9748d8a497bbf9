// Package egress hands personal data to a gateway without showing it to the program.
//
// Most plaintext is revealed for one reason: a mail or SMS gateway needs it. With a
// [Transport], the program puts the sealed text where the address would stand, in a request
// of package net/http. The transport reveals the text as the request goes out, for one host
// and for the fields that a [Rule] declares:
//
//	rule := egress.Rule{
//		Host: "api.sms.example", Method: "POST", Path: "/v1/messages",
//		Fields: []egress.Field{egress.Form[pii.Phone]("To")},
//		Reader: security,
//	}
//	transport, err := egress.NewTransport(nil, rule)
//	client := &http.Client{Transport: transport}
//
// The keys of the rule's [vault.Reader] fill the fields, so a value that was not collected
// for its purpose stays closed. Each value is one event of action [audit.Send] that names
// the host. While events can't be recorded, nothing leaves.
//
// # Mail
//
// A [Mailer] does the same for SMTP. The recipients are values of type [pii.Email], and the
// message has their sealed texts in its header fields To and Cc:
//
//	mailer, err := egress.NewMailer(egress.Relay{Host: "smtp.example", Reader: security})
//	err = mailer.Send(ctx, egress.Mail{
//		From:    "shop@shop.example",
//		To:      []pii.Email{user.Email},
//		Message: []byte("To: " + sealed + "\r\nSubject: Your code\r\n\r\n" + code),
//	})
//
// TLS is required, from the first byte or by STARTTLS. Package net/smtp of the standard
// library makes the connection, up to the login. It is frozen, not abandoned: it gets fixes,
// and SMTP has not changed. The commands and the message that hold addresses are written
// here, so that the buffers can be cleared. A library for composing mail has no place
// between: it would take the sealed text for a broken address, and it would not have to see
// the real one.
//
// # Refusals
//
// A request is refused before a byte leaves if it has no rule, if its URL is not https, if
// it follows a redirect to another host, if its body is malformed, and if a sealed value
// stands anywhere else than in a declared field. A mail is refused under the same rule.
// Nothing is filled in free text, in URLs and in other headers: a user who types somebody
// else's sealed value into a profile gets nothing. A proxy that replaces sealed values
// wherever it finds them would send that user the address.
//
// # The way back
//
// Errors, responses, traces of package httptrace and dumps of the request show the sealed
// text. A plaintext of the request that the gateway echoes becomes the sealed text again,
// in the body, in headers and in the status line, as [Transport.RoundTrip] describes. The
// [Answer] of a mail server has the sealed text as well.
//
// # Limits
//
// The gateway gets the plaintext, and is responsible for it. The process holds the keys:
// code that is given the [vault.Reader] can reveal without a transport. An echo in an
// encoding of the gateway's own (base64, a number in national format, a domain in another
// script), or in the response to another request, is not found. Buffers of this package
// are cleared; packages net/http and crypto/tls have buffers of their own, and a string that
// a kind reveals stays in memory until the garbage collector reuses it. Setting
// GODEBUG=http2debug makes package net/http log the declared headers.
package egress
