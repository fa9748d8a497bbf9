-- name: Insert :exec
INSERT INTO users (id, email, email_index, phone, recovery) VALUES (?, ?, ?, ?, ?);

-- name: Update :exec
UPDATE users SET email = ?, email_index = ?, phone = ?, recovery = ? WHERE id = ?;

-- name: Get :one
SELECT * FROM users WHERE id = ?;

-- name: FindByIndex :many
SELECT * FROM users WHERE email_index = ?;

-- name: FindByIndexes :many
SELECT * FROM users WHERE email_index IN (sqlc.slice(indexes));

-- name: FindByEmail :many
#piivet:allow compare the tests show that it finds the very seal and nothing else
SELECT * FROM users WHERE email = ?;
