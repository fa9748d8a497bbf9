-- name: Insert :exec
INSERT INTO users (id, email, email_index, phone, recovery) VALUES ($1, $2, $3, $4, $5);

-- name: InsertAll :copyfrom
INSERT INTO users (id, email, email_index, phone, recovery) VALUES ($1, $2, $3, $4, $5);

-- name: Update :exec
UPDATE users SET email = $2, email_index = $3, phone = $4, recovery = $5 WHERE id = $1;

-- name: Get :one
SELECT * FROM users WHERE id = $1;

-- name: FindByIndex :many
SELECT * FROM users WHERE email_index = $1;

-- name: FindByIndexes :many
SELECT * FROM users WHERE email_index = ANY(sqlc.slice(indexes));

-- name: FindByEmail :many
--piivet:allow compare the tests show that it finds the very seal and nothing else
SELECT * FROM users WHERE email = $1;
