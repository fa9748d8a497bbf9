package flow

import (
	"go/types"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/onlyfor/onlyfor/pii/piivet/internal/purposes"
)

// These tables describe the effects of functions of other modules on their arguments. A
// function in none of them is taken to return its arguments in another form.

var noScopes purposes.Ref

var version = regexp.MustCompile(`(/v[0-9]+|\.v[0-9]+)$`)

// cleanPath returns an import path without a version and without vendoring.
func cleanPath(p string) string {
	if _, after, ok := strings.Cut(p, "/vendor/"); ok {
		p = after
	}
	return version.ReplaceAllString(p, "")
}

// containers are packages whose methods store their arguments in the receiver.
var containers = map[string]bool{
	"sync": true, "sync/atomic": true, "container/list": true, "container/ring": true, "container/heap": true, "unique": true, "weak": true,
	"reflect": true, "github.com/hashicorp/golang-lru": true, "github.com/patrickmn/go-cache": true,
}

// answers are packages, and folders of packages, whose functions return results unrelated
// to their arguments: a row, a file, a ciphertext.
var answers = []string{
	"context", "crypto", "database", "embed", "hash", "log", "math", "net", "os", "plugin", "runtime", "syscall", "testing", "time",
	"golang.org/x/crypto", "golang.org/x/oauth2", "golang.org/x/sync", "golang.org/x/sys", "golang.org/x/time",
	"github.com/jackc", "gorm.io", "github.com/jinzhu/gorm", "github.com/uptrace/bun", "github.com/jmoiron/sqlx", "github.com/go-gorp", "xorm.io",
	"github.com/lib/pq", "github.com/go-sql-driver", "github.com/gobuffalo/pop", "entgo.io/ent", "go.mongodb.org", "github.com/redis", "github.com/go-redis",
	"github.com/gomodule/redigo", "github.com/bradfitz/gomemcache", "github.com/elastic", "github.com/nats-io", "github.com/segmentio/kafka-go", "github.com/twmb/franz-go",
	"github.com/aws", "cloud.google.com", "github.com/Azure", "google.golang.org", "github.com/tink-crypto", "filippo.io/age", "github.com/go-resty",
	"github.com/google/uuid", "github.com/gofrs/uuid", "github.com/onlyfor/onlyfor",
}

// doing matches names of functions that act on another system or on data, and return the
// outcome.
var doing = regexp.MustCompile(`^(Send|Post|Publish|Do|Exec|Query|Dial|Encrypt|Decrypt|Seal|Sign|Verify|Sum|Hash|MAC|Upload|Create|Insert|Update|Save|Delete|Count|Enqueue|Push|Open|Register)([A-Z].*)?$`)

// answersElse reports whether a function of another module returns results unrelated to
// its arguments. A function with a context calls another system.
func answersElse(p string, fn *types.Func) bool {
	for _, a := range answers {
		if p == a || strings.HasPrefix(p, a+"/") {
			return true
		}
	}
	if params := fn.Signature().Params(); params.Len() > 0 {
		if p, name := typePath(params.At(0).Type()); p == "context" && name == "Context" {
			return true
		}
	}
	return doing.MatchString(fn.Name())
}

// leaves reports whether a function of another module uses its arguments otherwise than
// to return them in another form.
func leaves(p, key, name string, fn *types.Func) bool {
	switch {
	case p == "context" || p == "errors" || p == "log" && name == "New" || containers[p] || texts[p] && !fills.MatchString(name) && name != "Execute" && name != "ExecuteTemplate":
		return false
	case p == "fmt":
		return strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Fprint")
	case loggers[p] || metrics[p] || slices.Contains(responders[key], name):
		return true
	}
	return answersElse(p, fn) && !strings.HasPrefix(p, "time") && !strings.HasPrefix(p, "runtime")
}

// texts are packages whose functions return their arguments in another form, and whose
// methods store their arguments in the receiver.
var texts = map[string]bool{
	"strings": true, "bytes": true, "html": true, "net/url": true, "path": true, "path/filepath": true,
	"encoding/base64": true, "encoding/base32": true, "encoding/hex": true, "encoding/json": true, "encoding/xml": true, "encoding/ascii85": true,
	"regexp": true, "slices": true, "maps": true, "sort": true, "bufio": true, "mime": true, "mime/quotedprintable": true,
	"net/mail": true, "net/textproto": true, "encoding/gob": true, "encoding/csv": true, "encoding/binary": true, "encoding/pem": true, "encoding/asn1": true,
	"text/scanner": true, "text/tabwriter": true, "unicode/utf8": true, "unicode/utf16": true, "text/template": true, "html/template": true, "iter": true, "cmp": true,
	"golang.org/x/text/cases": true, "golang.org/x/text/unicode/norm": true, "golang.org/x/net/idna": true,
	"github.com/google/shlex": true, "github.com/goccy/go-json": true, "github.com/json-iterator/go": true, "gopkg.in/yaml": true, "go.yaml.in/yaml": true,
	"sigs.k8s.io/yaml": true, "github.com/samber/lo": true,
}

// quoters are packages whose functions quote their arguments in errors.
var quoters = map[string]bool{"strconv": true, "net/mail": true, "net/url": true, "net/netip": true, "net": true, "time": true, "regexp": true}

// loggers are packages all of whose functions and methods write to a log.
var loggers = map[string]bool{
	"log": true, "log/slog": true, "log/syslog": true,
	"github.com/sirupsen/logrus": true, "github.com/rs/zerolog": true, "github.com/rs/zerolog/log": true,
	"go.uber.org/zap": true, "k8s.io/klog": true, "github.com/golang/glog": true, "github.com/go-logr/logr": true,
	"github.com/hashicorp/go-hclog": true, "github.com/charmbracelet/log": true, "github.com/apex/log": true,
	"github.com/go-kit/log": true, "github.com/go-kit/log/level": true, "github.com/go-kit/kit/log": true, "gopkg.in/inconshreveable/log15": true,
	"github.com/inconshreveable/log15": true, "github.com/phuslu/log": true, "github.com/getsentry/sentry-go": true,
	"github.com/bugsnag/bugsnag-go": true, "github.com/rollbar/rollbar-go": true, "cloud.google.com/go/logging": true,
}

// attributes are functions of loggers and of metrics that return a value with their
// arguments in it, for another function to log.
var attributes = map[string]bool{
	"log/slog.": true, "log/slog.Value": true, "log/slog.Attr": true, "go.uber.org/zap.": true,
	"go.opentelemetry.io/otel/attribute.": true, "go.opentelemetry.io/otel/attribute.Key": true,
	"go.opentelemetry.io/otel/metric.": true, "go.opentelemetry.io/otel/trace.": true, "go.opentelemetry.io/otel/log.": true,
	"github.com/opentracing/opentracing-go/log.": true, "github.com/hashicorp/go-metrics.Label": true,
}

// errorMakers make errors, or wrap them in text.
var errorMakers = map[string]bool{
	"github.com/pkg/errors": true, "golang.org/x/xerrors": true, "github.com/cockroachdb/errors": true, "github.com/juju/errors": true,
	"google.golang.org/grpc/status": true, "github.com/hashicorp/errwrap": true, "emperror.dev/errors": true, "go.uber.org/multierr": true,
}

// metrics are packages whose functions and methods set the labels of metrics and traces.
var metrics = map[string]bool{
	"github.com/prometheus/client_golang/prometheus": true, "expvar": true, "runtime/pprof": true, "runtime/trace": true,
	"github.com/DataDog/datadog-go/statsd": true, "github.com/DataDog/datadog-go": true, "github.com/cactus/go-statsd-client/statsd": true,
	"github.com/armon/go-metrics": true, "github.com/hashicorp/go-metrics": true, "github.com/rcrowley/go-metrics": true,
	"github.com/VictoriaMetrics/metrics": true, "go.opencensus.io/tag": true, "go.opencensus.io/trace": true,
	"go.opentelemetry.io/otel/trace": true, "go.opentelemetry.io/otel/metric": true,
	"github.com/opentracing/opentracing-go": true, "gopkg.in/DataDog/dd-trace-go.v1/ddtrace": true, "github.com/DataDog/dd-trace-go": true,
}

// responders are methods of web frameworks that write a response.
var responders = map[string][]string{
	"github.com/gin-gonic/gin.Context": {
		"JSON", "IndentedJSON", "PureJSON", "SecureJSON", "AsciiJSON", "JSONP", "XML", "YAML", "TOML", "ProtoBuf", "String", "HTML", "Data", "Render",
		"Header", "SetCookie", "Redirect", "AbortWithStatusJSON", "AbortWithStatusPureJSON", "SSEvent", "DataFromReader"},
	"github.com/labstack/echo.Context": {
		"JSON", "JSONPretty", "JSONBlob", "JSONP", "JSONPBlob", "String", "HTML", "HTMLBlob", "XML", "XMLPretty", "XMLBlob", "Blob", "Stream", "Render",
		"Redirect", "SetCookie"},
	"github.com/gofiber/fiber.Ctx": {
		"JSON", "JSONP", "XML", "CBOR", "Send", "SendString", "SendStream", "Render", "Set", "Append", "Redirect", "Cookie", "Write", "WriteString", "Writef", "Format"},
	"github.com/go-chi/render.":              {"JSON", "PlainText", "HTML", "XML", "Data", "Respond", "Render", "RenderList"},
	"github.com/unrolled/render.Render":      {"JSON", "Text", "HTML", "XML", "Data"},
	"github.com/valyala/fasthttp.RequestCtx": {"SetBody", "SetBodyString", "Write", "WriteString", "Error", "Success", "SuccessString", "Redirect"},
	"net/http.":                              {"Error", "Redirect", "SetCookie"},
}

// hashes are functions that hash their arguments without a key.
var hashes = map[string]string{
	"crypto/md5": "Sum", "crypto/sha1": "Sum", "crypto/sha256": "Sum", "crypto/sha512": "Sum", "crypto/sha3": "Sum",
	"golang.org/x/crypto/sha3": "Sum,ShakeSum", "golang.org/x/crypto/md4": "Sum", "golang.org/x/crypto/ripemd160": "Sum",
	"golang.org/x/crypto/blake2b": "Sum", "golang.org/x/crypto/blake2s": "Sum",
	"hash/crc32": "Checksum,Update", "hash/crc64": "Checksum,Update", "hash/adler32": "Checksum",
	"github.com/cespare/xxhash": "Sum", "github.com/OneOfOne/xxhash": "Checksum", "github.com/pierrec/xxHash/xxHash64": "Checksum", "github.com/zeebo/xxh3": "Hash",
	"github.com/zeebo/blake3": "Sum", "lukechampine.com/blake3": "Sum", "github.com/spaolacci/murmur3": "Sum", "github.com/twmb/murmur3": "Sum,StringSum,SeedSum",
	"github.com/dgryski/go-farm": "Hash,Fingerprint", "github.com/mitchellh/hashstructure": "Hash", "github.com/gohugoio/hashstructure": "Hash",
	"github.com/google/uuid": "NewSHA1,NewMD5,NewHash", "github.com/gofrs/uuid": "NewV3,NewV5", "github.com/satori/go.uuid": "NewV3,NewV5",
	"github.com/segmentio/fasthash/fnv1a": "Hash,Add", "github.com/minio/sha256-simd": "Sum", "github.com/minio/md5-simd": "Sum",
}

// hashers are packages whose constructors return a hash.Hash, or a similar type, without
// a key.
var hashers = map[string]bool{
	"crypto/md5": true, "crypto/sha1": true, "crypto/sha256": true, "crypto/sha512": true, "crypto/sha3": true, "golang.org/x/crypto/sha3": true,
	"golang.org/x/crypto/md4": true, "golang.org/x/crypto/ripemd160": true, "hash/fnv": true, "hash/crc32": true, "hash/crc64": true, "hash/adler32": true,
	"github.com/cespare/xxhash": true, "github.com/OneOfOne/xxhash": true, "github.com/zeebo/xxh3": true, "github.com/spaolacci/murmur3": true,
	"github.com/twmb/murmur3": true, "github.com/minio/sha256-simd": true, "golang.org/x/crypto/blake2b": true, "golang.org/x/crypto/blake2s": true,
	"github.com/zeebo/blake3": true,
}

// unkeyedHasher reports whether a function returns a hash without a key.
func unkeyedHasher(path, recv, name string, args []ssa.Value) bool {
	switch {
	case path == "crypto" && recv == "Hash" && name == "New":
		return true // crypto.SHA256.New()
	case recv != "" || !hashers[path] || !strings.HasPrefix(name, "New"):
		return false
	case path == "golang.org/x/crypto/blake2b" || path == "golang.org/x/crypto/blake2s":
		key, ok := args[len(args)-1].(*ssa.Const)
		return ok && key.IsNil()
	case name == "NewKeyed" || name == "NewDeriveKey" || name == "NewCSHAKE128" || name == "NewCSHAKE256":
		return false
	}
	return true
}

var levels = regexp.MustCompile(`^(Trace|Debug|Info|Notice|Warn|Warning|Error|Err|Critical|Crit|Fatal|Panic|DPanic|Alert|Print|Log)(f|w|ln|Ctx|Context|fContext|wContext|Attrs|S|Depth)?$`)

var (
	logPackage = regexp.MustCompile(`(^|/)(log|logs|logger|logging)$`)
	withFields = regexp.MustCompile(`^With(Field|Fields|Values|Error)?$`)
)
