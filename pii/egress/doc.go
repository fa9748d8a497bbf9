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
// # Refusals
//
// A request is refused before a byte leaves if it has no rule, if its URL is not https, if
// it follows a redirect to another host, if its body is malformed, and if a sealed value
// stands anywhere else than in a declared field. Nothing is filled in free text, in URLs and
// in other headers: a user who types somebody else's sealed value into a profile gets
// nothing. A proxy that replaces sealed values wherever it finds them would send that user
// the address.
//
// # The way back
//
// Errors, responses, traces of package httptrace and dumps of the request show the sealed
// text. A plaintext of the request that the gateway echoes becomes the sealed text again,
// in the body, in headers and in the status line, as [Transport.RoundTrip] describes.
//
// # Limits
//
// The gateway gets the plaintext, and is responsible for it. The process holds the keys:
// code that is given the [vault.Reader] can reveal without a transport. An echo in an
// encoding of the gateway's own (base64, a number in national format, a domain in another
// script), or in the response to another request, is not found. Buffers of this package are cleared; package net/http has buffers of its
// own, and a string that a kind reveals stays in memory until the garbage collector reuses
// it. Setting GODEBUG=http2debug makes package net/http log the declared headers.
package egress
