CREATE TABLE users (
	id          integer PRIMARY KEY,
	email       text CHECK (email LIKE 'pii1.email.%'),
	email_index blob UNIQUE,
	phone       text CHECK (phone LIKE 'pii1.phone.%'),
	recovery    text CHECK (recovery LIKE 'pii1.email.%')
);
