package reference

import (
	"encoding/base64"
	"errors"
	"strconv"
)

// SetOf returns a keyset with the times of its keys: all were made at [Time], and keys
// that are disabled were retired then. It is for keysets in Tink's serialization, and
// gives no times to other data.
func SetOf(data []byte) Keyset {
	k := Keyset{Keyset: base64.StdEncoding.EncodeToString(data), Created: map[string]uint64{}}
	all, _, _ := statuses(data)
	for id, status := range all {
		k.Created[decimal(id)] = Time
		if status != Enabled {
			if k.Retired == nil {
				k.Retired = map[string]uint64{}
			}
			k.Retired[decimal(id)] = Time
		}
	}
	return k
}

func decimal(id uint64) string { return strconv.FormatUint(id, 10) }

// statuses returns the status of each key of a keyset by the key's id, and the id of the
// primary key.
func statuses(data []byte) (all map[uint64]uint64, primary uint64, err error) {
	set, err := ReadProto(data)
	if err != nil {
		return nil, 0, err
	}
	all = map[uint64]uint64{}
	for _, raw := range set.bytes[2] {
		entry, err := ReadProto(raw)
		if err != nil {
			return nil, 0, err
		}
		all[entry.ints[3]] = entry.ints[2]
	}
	return all, set.ints[1], nil
}

const lastTime = 253402300799 // 9999-12-31T23:59:59Z

// primaryAt checks the times of a keyset, and returns the id of the key that is primary
// at the time now: the last whose time has come, and otherwise the primary key of the
// keyset.
func (k Keyset) primaryAt(data []byte, now uint64) (uint32, error) {
	all, primary, err := statuses(data)
	if err != nil {
		return 0, err
	}
	if len(k.Created) != len(all) {
		return 0, errors.New("a time of creation too many, or too few")
	}
	for _, times := range []map[string]uint64{k.Created, k.Retired, k.Primary} {
		for id, at := range times {
			n, err := strconv.ParseUint(id, 10, 32)
			if _, known := all[n]; err != nil || !known || decimal(n) != id || at > lastTime {
				return 0, errors.New("time of no key, or no time")
			}
		}
	}
	disabled := 0
	for id, status := range all {
		if status == Enabled {
			continue
		}
		disabled++
		if _, ok := k.Retired[decimal(id)]; !ok {
			return 0, errors.New("key out of use without a time")
		}
	}
	if disabled != len(k.Retired) {
		return 0, errors.New("time of retirement of a key in use")
	}
	seen := map[uint64]bool{}
	flagged, last := primary, uint64(0)
	for id, at := range k.Primary {
		n, _ := strconv.ParseUint(id, 10, 32)
		if all[n] != Enabled || n == flagged || seen[at] {
			return 0, errors.New("no such promotion")
		}
		seen[at] = true
		if at <= now && (primary == flagged || at > last) {
			primary, last = n, at
		}
	}
	return uint32(primary), nil
}

// checkDestroyed refuses destroyed keys that the record still has.
func (p KeyPayload) checkDestroyed() error {
	for id, at := range p.Destroyed {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil || decimal(n) != id || at > lastTime {
			return errors.New("not the id of a key, or no time")
		}
		for _, k := range []*Keyset{&p.Seal, &p.Index, &p.Subject, p.Collect} {
			if k == nil {
				continue
			}
			if _, ok := k.Created[id]; ok {
				return errors.New("a destroyed key that is there")
			}
		}
	}
	return nil
}
