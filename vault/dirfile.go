package vault

import (
	"bytes"
	"fmt"
	"strconv"
)

// The header has one length whatever it says, and lower-case hexadecimal, so
// that every record has one encoding. The length is there to tell a file that
// was cut short.
const (
	recordMagic = "onlyfor-record-1"
	headerSize  = len(recordMagic) + 1 + 16 + 1 + 8 + 1
)

func encodeRecord(revision int64, data []byte) []byte {
	return append(appendHeader(make([]byte, 0, headerSize+len(data)), revision, len(data)), data...)
}

func appendHeader(b []byte, revision int64, size int) []byte {
	return fmt.Appendf(b, "%s %016x %08x\n", recordMagic, revision, size)
}

// decodeRecord returns the parts of b; data is a part of b itself.
func decodeRecord(b []byte) (revision int64, data []byte, ok bool) {
	if len(b) <= headerSize {
		return 0, nil, false
	}
	header, data := b[:headerSize], b[headerSize:]
	revision, err := strconv.ParseInt(string(header[len(recordMagic)+1:][:16]), 16, 64)
	if err != nil || revision <= 0 || !bytes.Equal(header, appendHeader(nil, revision, len(data))) {
		return 0, nil, false
	}
	return revision, data, true
}
