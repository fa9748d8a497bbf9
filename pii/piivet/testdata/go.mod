// Versions follow those of the root module: after changing them there, run
// go -C pii/piivet/testdata mod tidy.
module example.com

go 1.26.0

require github.com/onlyfor/onlyfor v0.0.0

require (
	github.com/tink-crypto/tink-go/v2 v2.9.0 // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/protobuf v1.36.11 // indirect
)

replace github.com/onlyfor/onlyfor => ../../..

// Stand-ins, so that nothing is downloaded: with the names of the real ones.
require (
	github.com/Masterminds/squirrel v1.0.0
	github.com/google/uuid v1.0.0
	github.com/jinzhu/gorm v1.0.0
	github.com/labstack/echo/v4 v4.0.0
	github.com/pkg/errors v1.0.0
	github.com/prometheus/client_golang v1.0.0
	github.com/rs/zerolog v1.0.0
	github.com/uptrace/bun v1.0.0
	go.uber.org/zap v1.0.0
	gorm.io/gorm v1.0.0
)

replace (
	github.com/Masterminds/squirrel => ./fake/github.com/Masterminds/squirrel
	github.com/google/uuid => ./fake/github.com/google/uuid
	github.com/jinzhu/gorm => ./fake/github.com/jinzhu/gorm
	github.com/labstack/echo/v4 => ./fake/github.com/labstack/echo/v4
	github.com/pkg/errors => ./fake/github.com/pkg/errors
	github.com/prometheus/client_golang => ./fake/github.com/prometheus/client_golang
	github.com/rs/zerolog => ./fake/github.com/rs/zerolog
	github.com/uptrace/bun => ./fake/github.com/uptrace/bun
	go.uber.org/zap => ./fake/go.uber.org/zap
	gorm.io/gorm => ./fake/gorm.io/gorm
)
