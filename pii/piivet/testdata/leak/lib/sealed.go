package lib

// An Envelope keeps to itself whom it goes to.
type Envelope struct {
	Subject string
	to      string
}

// Sealed returns an envelope.
func Sealed(to string) Envelope { return Envelope{Subject: "hello", to: to} }

// A Parcel shows what it holds.
type Parcel struct{ Held any }

// Wrap returns a parcel.
func Wrap(v any) Parcel { return Parcel{v} }
