package format

// Plaintexts are padded, so that a column does not tell the lengths of addresses.
// Plaintexts of up to 31 bytes look alike, plaintexts of 32 to 63 bytes look alike,
// and so on.
const (
	PadStep   = 32
	MaxPadded = (MaxPlaintext/PadStep + 1) * PadStep
)

// AppendPadded appends plaintext, 0x80, and zeros up to the next multiple of
// PadStep (ISO/IEC 7816-4).
func AppendPadded(b []byte, plaintext string) []byte {
	const padding = "\x80" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // of PadStep bytes
	return append(append(b, plaintext...), padding[:PadStep-len(plaintext)%PadStep]...)
}

// Unpad returns the plaintext that AppendPadded padded, and false for other bytes.
// It runs on authenticated bytes alone, so a refusal tells an attacker nothing.
func Unpad(padded []byte) ([]byte, bool) {
	n := len(padded) - 1
	for n >= 0 && padded[n] == 0 {
		n--
	}
	if n < 1 || n > MaxPlaintext || padded[n] != 0x80 || len(padded)-n > PadStep {
		return nil, false
	}
	return padded[:n], true
}
