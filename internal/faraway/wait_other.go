//go:build !linux

package faraway

import "time"

func waitUntil(due time.Time) { time.Sleep(time.Until(due)) }
