-- The template's realm `master` gets no keys from the image: Keycloak makes none for it again, so nothing
-- is ever signed for it. Compacted, because deleted rows would still lie in the file.
DELETE FROM COMPONENT_CONFIG WHERE COMPONENT_ID IN (SELECT ID FROM COMPONENT WHERE PROVIDER_TYPE = 'org.keycloak.keys.KeyProvider');
DELETE FROM COMPONENT WHERE PROVIDER_TYPE = 'org.keycloak.keys.KeyProvider';
SHUTDOWN COMPACT;
