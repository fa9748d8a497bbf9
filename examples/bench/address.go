package main

// validAddress reports whether s is an address in the form that is sealed, in ASCII.
func validAddress(s string) bool {
	if len(s) > 254 {
		return false
	}
	at, dot := 0, true
	for ; at < len(s) && at <= 64; at++ {
		c := s[at]
		if localByte[c] {
			dot = false
			continue
		}
		if dot || c != '.' && c != '@' {
			return false
		}
		if c == '@' {
			break
		}
		dot = true
	}
	if at > 64 || at == len(s) {
		return false
	}
	labels, start, letter := 0, at+1, false
	for i := start; ; i++ {
		if i < len(s) && s[i] != '.' {
			switch c := s[i]; {
			case c >= 'a' && c <= 'z', c == '-' && i > start:
				letter = true
			case c >= '0' && c <= '9':
			default:
				return false
			}
			continue
		}
		if i == start || i-start > 63 || s[i-1] == '-' {
			return false
		}
		if labels++; i == len(s) {
			return labels >= 2 && letter
		}
		start, letter = i+1, false
	}
}

var localByte = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~") {
		set[c] = true
	}
	return set
}()
