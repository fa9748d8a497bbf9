CREATE TABLE users (
	id          bigint PRIMARY KEY,
	email       text   CHECK (email LIKE 'pii1.email.%'),
	email_index bytea  UNIQUE,
	phone       text   CHECK (phone LIKE 'pii1.phone.%'),
	recovery    text   CHECK (recovery LIKE 'pii1.email.%')
);
