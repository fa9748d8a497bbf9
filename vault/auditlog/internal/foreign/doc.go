// Package foreign has no code. Its tests read audit logs, heads and cosignatures with the
// tools of others, and measure a log beside Tessera, so that these modules are
// dependencies of this module alone.
package foreign
